"""What the documentation's site is made with: its hooks, its pictures, and the pages that are written from the code."""
