"""Mini-Pacman: its maze, its rules, its pictures and the environment."""
