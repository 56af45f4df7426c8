import { afterAll, beforeAll, expect, it } from 'vitest';
import type { NetloomError } from '../../lib/errors.ts';
import { getLink } from '../../lib/netlink/links.ts';
import { NetlinkMonitor, type Changes, type Topic } from '../../lib/netlink/monitor.ts';
import { makeZoo, type Zoo } from './netlink-support/zoo.ts';

let zoo: Zoo;
beforeAll(() => {
  zoo = makeZoo();
});
afterAll(() => zoo?.remove());

const ALL: readonly Topic[] = ['links', 'addresses', 'routes', 'tc', 'neighbours'];

/** A monitor that is looked at by hand. */
function monitor(topics: readonly Topic[]): { seen: Changes[]; errors: NetloomError[]; it: NetlinkMonitor } {
  const seen: Changes[] = [];
  const errors: NetloomError[] = [];
  const it = new NetlinkMonitor({
    topics,
    netnsFd: zoo.netnsFd,
    intervalMs: 10_000,
    onChange: (changes) => seen.push(changes),
    onError: (error) => errors.push(error),
  });
  return { seen, errors, it };
}

it('tells what changed, once, and nothing while all is quiet', async () => {
  const { seen, errors, it: watch } = monitor(ALL);
  try {
    const ifindex = getLink(zoo.socket, 'zveth0')!.ifindex;
    const heard = (): readonly [string[], number[]] => {
      watch.look();
      const all = { topics: new Set<string>(), ifindexes: new Set<number>() };
      for (const { topics, ifindexes } of seen) {
        topics.forEach((t) => all.topics.add(t));
        ifindexes.forEach((i) => all.ifindexes.add(i));
      }
      return [[...all.topics].sort(), [...all.ifindexes]];
    };
    const change = (line: string): readonly [string[], number[]] => {
      watch.look();
      seen.length = 0;
      zoo.sh(line);
      return heard();
    };
    expect(change('ip addr add 203.0.113.7/32 dev zveth0')[0]).toContain('addresses');
    // The kernel tells of those of IPv6 from a work queue (addrconf_dad_work).
    change('ip -6 addr add fd42::7/128 dev zveth0 nodad');
    await expect.poll(() => heard()[0]).toContain('addresses');
    expect(change('ip route add 203.0.113.99 dev zveth0')[0]).toContain('routes');
    expect(change('ip -6 route add fd42::99 dev zveth0')[0]).toContain('routes');
    for (const line of ['add dev zveth0 root tbf rate 10mbit burst 20k latency 25ms', 'del dev zveth0 root']) {
      const [topics, ifindexes] = change(`tc qdisc ${line}`);
      expect(topics).toContain('tc');
      expect(ifindexes).toContain(ifindex);
    }
    expect(change('ip neigh add 203.0.113.5 lladdr 02:00:00:00:00:05 dev zveth0')[0]).toContain('neighbours');
    const [topics, ifindexes] = change('ip link set zveth0 mtu 1400');
    expect(topics).toContain('links');
    expect(ifindexes).toContain(ifindex);
    // The kernel itself goes on for some seconds after a device came up: multicast reports, router solicitations.
    await expect.poll(() => change('true'), { timeout: 30_000, interval: 100 }).toEqual([[], []]);
    expect(errors).toEqual([]);
  } finally {
    watch.stop();
  }
});

it('hears only the topics it was asked for', () => {
  const { seen, it: watch } = monitor(['routes']);
  try {
    zoo.sh('ip link set zveth0 mtu 1300; ip neigh replace 203.0.113.6 lladdr 02:00:00:00:00:06 dev zveth0');
    watch.look();
    expect(seen.flatMap((changes) => [...changes.topics]).filter((topic) => topic !== 'routes')).toEqual([]);
  } finally {
    watch.stop();
  }
});

it('says that it lost messages when more come than its buffer holds, and goes on hearing', () => {
  const { seen, errors, it: watch } = monitor(['routes']);
  try {
    zoo.sh('ip route add 10.99.0.0/24 dev zveth0; ip route add 10.99.1.0/24 dev zveth0');
    watch.look();
    expect(seen).toMatchObject([{ overrun: false }]);
    // A message takes about 1 KiB of the buffer's 4 MiB.
    zoo.sh(`
      i=0; while [ $i -lt 20000 ]; do echo route add 10.$((i / 256)).$((i % 256)).0/24 dev zveth0; i=$((i+1)); done | ip -batch -
    `);
    for (let i = 0; i < 40; i++) watch.look();
    expect(seen.some((changes) => changes.overrun && changes.topics.has('routes'))).toBe(true);
    seen.length = 0;
    zoo.sh('ip route del 10.0.0.0/24');
    watch.look();
    expect(seen).toMatchObject([{ overrun: false }]);
    expect(errors).toEqual([]);
  } finally {
    watch.stop();
  }
});

it('looks by itself, and no more after it was stopped', async () => {
  const seen: Changes[] = [];
  const watch = new NetlinkMonitor({
    topics: ['links'],
    netnsFd: zoo.netnsFd,
    intervalMs: 10,
    onChange: (changes) => seen.push(changes),
    onError: () => undefined,
  });
  zoo.sh('ip link set zveth0 mtu 1350');
  while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  watch.stop();
  watch.stop();
  seen.length = 0;
  zoo.sh('ip link set zveth0 mtu 1340');
  watch.look();
  expect(seen).toEqual([]);
});
