"""One file per verb, the file is the verb: parse, one call, render."""
