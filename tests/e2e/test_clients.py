"""Existing clients over kernel sockets, one core."""
import unittest

from clients import Pymemcache, RedisPy, SharedKeys, Tools, Wire
from harness import REFERENCE, ServerTest, main


class RedisPyTest(RedisPy, ServerTest):
    pass


class PymemcacheTest(Pymemcache, ServerTest):
    pass


class ToolsTest(Tools, ServerTest):
    pass


class WireTest(Wire, ServerTest):
    pass


@unittest.skipIf(REFERENCE, "two servers share no keys")
class SharedKeysTest(SharedKeys, ServerTest):
    pass


if __name__ == "__main__":
    main()
