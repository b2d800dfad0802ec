"""Memory maths shared by the cores: pure functions on one memory, no batch."""
