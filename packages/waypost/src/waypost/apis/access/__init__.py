"""Who may come in: hosts, access keys and their signatures, and what each key may do."""
