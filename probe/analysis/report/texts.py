"""Every fixed text of the page, in the reader's language."""

from collections.abc import Mapping

from probe.analysis.report import words
from probe.language import _


def texts() -> Mapping[str, str]:
    """Texts by the name that the template has for them."""
    return {
        "skip": _("Skip to the report"),
        "nothing_claimed": _("What these runs saw. This is no claim about the networks."),
        "claimed": _("What may be claimed"),
        "sure": _("How sure is that, and what speaks against it"),
        "changes": _("What changed, and when"),
        "matrix": _("Service by service"),
        "matrix_how": _(
            "Each cell says how a service fared, in how many of the measured hours it failed, and between what"
            " bounds the true share lies by 95 %. In brackets and hatched: too few places or hours to speak of the"
            " network; that is what these runs saw and nothing more. A dash means not tested, which is not the same"
            " as working. Follow a cell to its steps."
        ),
        "scale": _("Shade: share of the measured hours in which it failed or was impaired"),
        "none": _("none"),
        "all": _("all"),
        "thin": _("too few to speak of the network"),
        "lines": _("Over time"),
        "lines_how": _(
            "One line for each network. The higher a bar, the larger the share of the measured hours in which it"
            " failed; full height is all of them. A base line shows when it was measured: where there is none, nobody"
            " measured. A broad band is the time within which a change began or ended."
        ),
        "lines_none": _("Everything was measured within one stretch of time: there is no line to draw."),
        "calls": _("Test calls"),
        "calls_how": _(
            "Calls and flows of our own, to a far end outside the network. The line is the service in the middle, the"
            " shade goes from the best service to the worst. Every line has the same scale."
        ),
        "calls_none": _(
            "No call of our own was placed with a far end that counts packets, so there are no figures."
        ),
        "ladders": _("The steps behind every cell"),
        "ladders_how": _(
            "What the app does, step by step, and how often each step went through. What failed is shown with the last"
            " time it did. Several tries are made in a run, so counts are larger than hours."
        ),
        "ladder_none": _("No step was made."),
        "rule": _("Why"),
        "print": _("On paper stand only the steps that were open when this was printed."),
        "unmeasured": _("What was not measured"),
        "unmeasured_how": _("Nothing may be concluded of these, neither that they work nor that they fail."),
        "unmeasured_none": _("Every service was measured everywhere, for messages and for calls."),
        "where": _("Where and when was measured"),
        "left_out": _("What was left out"),
        "left_out_none": _("Nothing was left out, and nothing was given twice."),
        "reading": _("How to read this"),
        "about": _("How this was made"),
        "service": _("service"),
        "purpose": _("purpose"),
        "network": _("where"),
        "not_tested": words.states()["not_tested"],
        "inconclusive": words.states()["inconclusive"],
        "places": _("places"),
        "runs": _("runs"),
        "first": _("first"),
        "last": _("last"),
        "covered": _("measured"),
        "sign": _("sign"),
        "word": _("word"),
        "meaning": _("meaning"),
        "back": _("Back to the table"),
        "figures": _("Figures"),
        "hour_unit": _(
            "What is counted is one place on one network in one hour: however often somebody measures within an hour,"
            " it counts once, and as failing if more than half of what allows a statement failed or was impaired. A"
            " place is whoever signed the runs, or a label and folder of files; two people may hide behind one."
        ),
        "interval_unit": _(
            "The bounds are Jeffreys intervals. They tell of chance alone, not of who measured where and why."
        ),
        "dates_unit": _(
            "All times are UTC. A date is the first measured hour of which something is true, or the interval in which"
            " it became true."
        ),
        "elsewhere_unit": _(
            "What failed on one network was compared with whoever tried the same endpoint elsewhere within half an"
            " hour."
        ),
        "cause_unit": _(
            "Interference with the network is what is measured. Who ordered it, and whether it is censorship, is not."
        ),
    }
