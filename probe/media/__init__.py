"""What a call is made of: shapes, profiles, stamps, pacing, and how well it went."""
