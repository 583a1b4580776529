"""What pictures are made of: texts that fit, lanes, tables, one scene."""
