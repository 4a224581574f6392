"""The peers: recipes of other projects, and contenders that run as processes of their own."""
