"""The only disk room: where everything lies, how it is written whole, and how it is read back."""
