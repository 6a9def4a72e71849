"""python -m tests.journey              lives through the day and prints it
python -m tests.journey --transcript  writes docs/a-volunteers-day.md
"""

import sys

from tests.journey.day import evening, lived, morning, night
from tests.journey.transcript import FILE, document


def main() -> None:
    with lived("crj") as day:
        for part in (morning, evening, night):
            part(day)
        text = document(day)
    if "--transcript" in sys.argv[1:]:
        FILE.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
