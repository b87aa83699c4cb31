"""How fast aiocos is beside what one would pick instead: see README.md here."""
