"""`python -m pointvae` is the command `pointvae`."""

from pointvae.cli import main

if __name__ == "__main__":
    main()
