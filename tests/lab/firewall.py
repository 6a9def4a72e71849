"""nftables rule sets of home and ISP, from the rules of a scenario."""

from tests.lab.topology import CGNAT4
from tests.lab.world import World


def home_rules(rules: list[str], world: World, *, symmetric: bool) -> str:
    """The home router's: translation of IPv4, and a filter."""
    flags = " fully-random" if symmetric else ""
    nat = (
        "table ip nat {\nchain post {\ntype nat hook postrouting priority srcnat;\n"
        f'oifname "wan" masquerade{flags}\n}}\n}}\n'
    )
    return nat + (chain("forward", rules, world) if rules else "")


def isp_rules(rules: list[str], redirections: list[str], world: World, *, translates: bool) -> str:
    """The ISP's: a filter, redirections to its own servers, and a second translation of IPv4."""
    made = chain("forward", rules, world) if rules else ""
    if redirections:
        inside = "\n".join(line for rule in redirections for line in _expand(rule, world))
        hook = "type nat hook prerouting priority dstnat;"
        made += f"table inet impostors {{\nchain pre {{\n{hook}\n{inside}\n}}\n}}\n"
    if translates:
        hook = "type nat hook postrouting priority srcnat;"
        made += f'table ip carrier {{\nchain post {{\n{hook}\noifname "wan0" snat to {CGNAT4}\n}}\n}}\n'
    return made or "table inet lab {\n}\n"


def chain(hook: str, rules: list[str], world: World) -> str:
    """A chain that accepts what no rule drops."""
    inside = "\n".join(line for rule in rules for line in _expand(rule, world))
    head = f"type filter hook {hook} priority 0;"
    return f"table inet lab {{\nchain {hook} {{\n{head}\n{inside}\n}}\n}}\n"


def _expand(rule: str, world: World) -> list[str]:
    """`ip daddr $NAME ...` for both families; "4:" or "6:" in front keeps to one."""
    family, _, rest = rule.partition(":") if rule[:2] in ("4:", "6:") else ("", "", rule)
    if "$" not in rest:
        return [rest.strip()]
    name = rest.split("$", 1)[1].split()[0]
    ips = world.addresses(name.lower().split("+"))
    lines = []
    for version in ("4", "6"):
        some = [ip for ip in ips if (":" in ip) == (version == "6")]
        if some and family in ("", version):
            line = rest.replace(f"${name}", "{ " + ", ".join(some) + " }").strip()
            lines.append(
                line.replace("ip daddr", "ip6 daddr").replace("ip saddr", "ip6 saddr")
                if version == "6"
                else line
            )
    return lines
