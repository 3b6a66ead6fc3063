"""`sluiceway copy` as it is to another machine over plain http: loopback is not exempt from payload signing.

Arguments: those of `sluiceway`.
"""

from cli.main import main
from sluiceway.sink import client

client.LOOPBACK = frozenset()
main()
