"""WhatsApp's Noise handshake up to the proof of who answered: frames, protobuf, symmetric state, signatures, chain.

No module here knows a socket or a clock. `handshake` is the dialogue; the others are what it is made of.
"""
