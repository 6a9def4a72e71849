"""What a call test talks to: WebRTC echo, paced-flow echo, and their receive log. Both ends of its protocol."""
