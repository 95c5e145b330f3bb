"""The assets, made from contracts and SQL files; one module per layer. They are thin: see loading/, sql/, spark/."""
