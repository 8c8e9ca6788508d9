"""`python -m tagline`: the command line."""

from tagline.retrieval.cli.main import main

if __name__ == "__main__":
    main()
