"""Clients that misbehave, over kernel sockets."""
from hard import Hard
from harness import ServerTest, main


class HardTest(Hard, ServerTest):
    pass


if __name__ == "__main__":
    main()
