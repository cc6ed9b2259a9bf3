"""One file per verb, the file is the verb: parse, one call, render."""


def examples(*lines: str) -> str:
    """The last part of a command's help, one example a line (\\b: click's mark for text that is not to be wrapped)."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
