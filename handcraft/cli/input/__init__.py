"""What a command line names: programs, folders, texts, options."""
