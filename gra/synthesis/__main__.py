"""python -m gra.synthesis seeds.path=FILE pool=servers pool.base_url=URL 'pool.models=[a,b,c,d,e]' output=DIR

A round over several jobs: shard=i/n round=R output=DIR, then merge round=R output=DIR; in the end merge output=DIR.
"""

import sys

from gra.chain.app import main
from gra.errors import ConfigError
from gra.synthesis.sharding import rewrite

if __name__ == "__main__":
    try:
        kind, words = rewrite(sys.argv[1:])
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(error.code)
    sys.argv[1:] = words
    main(f"gra.synthesis.{kind}.run", "synthesis_app")
