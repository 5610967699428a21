"""What the tests share: real servers and processes, recordings, damage, and how long a wait may last."""
