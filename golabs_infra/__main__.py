"""`python -m golabs_infra` is `golabs`."""

from .cli import main

main()
