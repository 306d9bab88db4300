"""``python -m authserver``."""

from authserver.cli import main

if __name__ == "__main__":
    main()
