"""Yes or no, as people say it who were asked in their own language."""

import typer

# Whole words where one letter would be another language's opposite.
_YES = frozenset(("y", "yes", "д", "да", "т", "так", "s", "sí", "si", "是", "نعم", "بله"))
_NO = frozenset(("n", "no", "н", "нет", "ні", "否", "不", "لا", "نه"))


def confirmed(question: str) -> bool:
    """The answer, on stderr and asked again until it is one; a bare Enter is a no. Raises typer.Abort at the end."""
    while True:
        said: str = typer.prompt(f"{question} [y/N]", default="", show_default=False, err=True)
        word = said.strip().lower()
        if word in _YES:
            return True
        if not word or word in _NO:
            return False
