"""Asset factories, one module per layer. They build assets from contracts and SQL files; see loading/, sql/, spark/."""
