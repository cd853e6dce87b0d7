"""What `--help` ends with: lines as one would type them, by command. Each is parsed by a test, and none is run."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("golabs up tst", "provision tst, or converge it"),
        ("golabs verify tst", "prove that no service reaches another's data"),
        ("golabs up --help", "options and examples of one command"),
    ),
    "server start": (
        ("golabs server start", "start it, on the port that it has"),
        ("golabs server start --port 54330", "where another one has that port"),
    ),
    "server stop": (("golabs server stop", "stop it; the next start finds all data again"),),
    "server status": (
        ("golabs server status", "does it run, and where?"),
        ("golabs server status --json", "the same for programs"),
    ),
    "setup": (("golabs setup", "look for the Pulumi CLI and its plugins"),),
    "env": (('eval "$(golabs env tst)" && pulumi up --stack tst', "plain pulumi on tst"),),
    "doctor": (("golabs doctor dev", "why does dev not come up?"),),
    "preview": (
        ("golabs preview prd", "what up would change, before anybody is asked"),
        ("golabs preview tst --engine direct --sql", "the same as SQL"),
    ),
    "up": (
        ("golabs up tst", "provision tst, or converge it"),
        ("GOLABS_CONFIRM=go-labs-prd golabs up prd", "a guarded stack, from a pipeline"),
    ),
    "destroy": (("golabs destroy tst --yes", "drop tst, as a test's reset does"),),
    "reset": (("golabs reset tst --yes", "an empty database again, in a fraction of a second"),),
    "verify": (
        ("golabs verify prd --html isolation.html", "prove the isolation, as a page for people"),
        ("golabs verify tst --no-login", "by the catalogs alone"),
    ),
    "drift": (
        ("golabs drift prd", "what differs from the model; exit code 2 if anything does"),
        ("golabs drift dev --repair", "and mend it"),
    ),
    "set-password": (
        ("pass billing/dev | golabs set-password dev billing app", "one password, from another program"),
        ("golabs set-password dev --admin", "the admin's, asked for"),
    ),
    "rotate": (
        ("golabs rotate prd billing --overlap", "a second login; the old one stays good"),
        ("golabs rotate prd billing --finish", "close the old one"),
        ("golabs rotate dev --all --user app", "every app user, at once"),
    ),
    "retire": (
        ("golabs retire dev billing", "close a service, keep its data"),
        ("golabs retire dev billing --undo", "and open it again"),
    ),
    "import-legacy": (("golabs import-legacy dev ../old/database", "take over the old scripts' configuration"),),
    "sql": (("golabs sql tst --service billing", "what psql would have to run for one service"),),
    "export": (
        ("golabs export tst --format dotenv", "connection files as environment variables"),
        ("golabs export prd --format k8s", "as Kubernetes Secrets"),
    ),
}


def epilog(command: str) -> str:
    """The examples of a command, or of `golabs` itself, as the end of its help: a line each, what it does below it."""
    lines = [f"{line}\n\n    {does}" for line, does in EXAMPLES[command]]
    return "\n\n".join(["Examples:", *lines])
