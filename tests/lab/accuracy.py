"""Every scenario many times, and a table of what was said.

    python -m tests.lab.accuracy --seeds 20 --jobs 12 [--only TEXT]

Ends with 1 if a confounder was ever called blocked or degraded, or an address leaked.
"""

import argparse
import os
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed

from tests.lab.scenario import Outcome, Scenario, perform, scenarios


def main() -> int:
    arguments = _arguments()
    chosen = [s for s in scenarios() if arguments.only in s.name]
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    broken: list[str] = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = {
            # The process too: two that run at once would take each other's networks down.
            pool.submit(perform, scenario, prefix=f"a{os.getpid() % 1000}x{number}", seed=seed): scenario
            for number, (seed, scenario) in enumerate((s, c) for s in range(arguments.seeds) for c in chosen)
        }
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                name = jobs[job].name
                try:
                    outcomes[name].append(job.result())
                except Exception as error:
                    broken.append(f"{name}: {type(error).__name__}: {error}")
                sys.stderr.write(f"\r{done} of {len(jobs)}")
        except KeyboardInterrupt:  # what was run until now is told all the same
            pool.shutdown(wait=True, cancel_futures=True)
    sys.stderr.write("\n")
    return _report(chosen, outcomes, broken)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=6)
    parser.add_argument("--only", default="", help="scenarios whose name holds this text")
    return parser.parse_args()


def _report(chosen: list[Scenario], outcomes: dict[str, list[Outcome]], broken: list[str]) -> int:
    print("| scenario | runs | right | said | false alarms |")
    print("|---|---|---|---|---|")
    alarms = leaks = 0
    for scenario in chosen:
        found = outcomes[scenario.name]
        right = sum(not outcome.wrong for outcome in found)
        alarms += sum(bool(outcome.false_alarms) for outcome in found)
        leaks += sum(bool(outcome.leaks) for outcome in found)
        false = Counter(alarm for outcome in found for alarm in outcome.false_alarms)
        told = "; ".join(f"{alarm} ({times})" for alarm, times in false.items()) or "0"
        print(f"| {scenario.name} | {len(found)} | {right} | {_said(scenario, found)} | {told} |")
    wrong = Counter(
        sentence for found in outcomes.values() for outcome in found for sentence in outcome.wrong
    )
    runs = sum(map(len, outcomes.values()))
    print(f"\n{runs} runs, {alarms} with a false blocked or degraded, {leaks} with a leaked address.")
    for sentence, times in wrong.most_common(40):
        print(f"- {times} x {sentence}")
    for sentence in broken:
        print(f"- broken: {sentence}")
    return 1 if alarms or leaks or broken else 0


def _said(scenario: Scenario, found: list[Outcome]) -> str:
    """The verdicts the scenario is about, or the regime and the states of all."""
    said: Counter[str] = Counter()
    for outcome in found:
        asked = [
            f"{service} {purpose} {outcome.verdicts.get(f'{service} {purpose}', 'nothing')}"
            for service, purposes in scenario.expected.services.items()
            for purpose in purposes
        ]
        states = Counter(verdict.split()[0] for verdict in outcome.verdicts.values())
        rest = ", ".join(f"{times} {state}" for state, times in states.most_common())
        said[", ".join(asked) if asked and outcome.regime == "normal" else f"{outcome.regime}: {rest}"] += 1
    return "; ".join(f"{times} x {words}" for words, times in said.most_common(4))


if __name__ == "__main__":
    raise SystemExit(main())
