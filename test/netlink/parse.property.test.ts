import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseAddressMessage } from '../../lib/netlink/addresses.ts';
import { attribute } from '../../lib/netlink/attributes.ts';
import { parseFilter } from '../../lib/netlink/filters.ts';
import { parseHtbClass } from '../../lib/netlink/htb-classes.ts';
import { parseLink } from '../../lib/netlink/links.ts';
import { parseForwarding, parseNeighbour } from '../../lib/netlink/neighbours.ts';
import { parseQdisc } from '../../lib/netlink/qdiscs.ts';
import { parseRoute } from '../../lib/netlink/routes.ts';

/** Each with the type of its message and the size of its fixed part. */
const PARSERS = [
  [parseLink, 16, 16],
  [parseAddressMessage, 20, 8],
  [parseRoute, 24, 12],
  [parseNeighbour, 28, 12],
  [parseForwarding, 28, 12],
  [parseQdisc, 36, 20],
  [parseHtbClass, 40, 20],
  [parseFilter, 44, 20],
] as const;

it('what the kernel sends is understood or refused as malformed, whatever the bytes', () => {
  const attributes = fc.array(
    fc.oneof(
      fc.tuple(fc.nat(70), fc.uint8Array({ maxLength: 48 })).map(([type, payload]) => attribute(type, payload)),
      fc.constantFrom('fq', 'htb', 'tbf', 'pfifo', 'bpf').map((kind) => attribute(1, Buffer.from(`${kind}\0`))),
    ),
    { maxLength: 12 },
  );
  const body = fc.tuple(fc.uint8Array({ minLength: 0, maxLength: 20 }), fc.boolean(), attributes);
  fc.assert(
    fc.property(fc.nat(PARSERS.length - 1), body, fc.constantFrom(0, 2, 7, 10), (i, [head, whole, rest], family) => {
      const [parse, type, size] = PARSERS[i]!;
      const fixed = Buffer.alloc(whole ? size : Math.min(size, head.length));
      fixed.set(head.subarray(0, fixed.length));
      if (fixed.length > 0) fixed[0] = family;
      const message = { type, flags: 0, sequence: 1, body: Buffer.concat([fixed, ...rest]) };
      expect(parse({ ...message, type: 99 })).toBeUndefined();
      try {
        parse(message);
      } catch (error) {
        expect((error as { code?: string }).code, String(error)).toBe('NETLINK_MALFORMED');
      }
    }),
    { numRuns: 2000 },
  );
});
