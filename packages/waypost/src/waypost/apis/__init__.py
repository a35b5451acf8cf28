"""The HTTP protocols by which clients come in. Each only translates its wire to the registry's calls and back."""
