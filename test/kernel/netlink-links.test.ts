import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dumpAddresses } from '../../lib/netlink/addresses.ts';
import { dumpLinks, getLink } from '../../lib/netlink/links.ts';
import { dumpForwarding, dumpNeighbours } from '../../lib/netlink/neighbours.ts';
import { NetlinkError } from '../../lib/netlink/netlink-error.ts';
import { dumpRoutes } from '../../lib/netlink/routes.ts';
import { errorOf, makeNetns } from '../support/bpf.ts';
import { makeZoo, type Zoo } from './netlink-support/zoo.ts';

let zoo: Zoo;
let pods: ReturnType<typeof makeNetns>[] = [];

beforeAll(() => {
  zoo = makeZoo();
  pods = [makeNetns(), makeNetns()];
  for (const [i, pod] of pods.entries()) {
    zoo.sh(`ip link add zpod${i} type veth peer name eth0 netns ${pod.name}; ip link set zpod${i} up`);
    pod.run('ip', 'link', 'set', 'eth0', 'up');
    pod.run('ip', 'addr', 'add', `10.88.0.${i + 2}/24`, 'dev', 'eth0');
    pod.run('ip', '-6', 'addr', 'add', `fd88::${i + 2}/64`, 'dev', 'eth0', 'nodad');
  }
  zoo.sh(`
    ip addr add 192.0.2.1/24 dev zveth0; ip addr add 192.0.2.5 peer 192.0.2.6 dev zveth0
    ip -6 addr add fd99::1/64 dev zbr0 nodad
    ip route add default via 192.0.2.254 dev zveth0 metric 7
    ip route add 10.88.0.2 dev zpod0; ip route add 10.88.0.3 dev zpod1 table 1234567
    ip route add 198.51.100.0/24 nexthop dev zpod0 weight 1 nexthop dev zpod1 weight 2
    ip route add blackhole 203.0.113.0/24
    ip -6 route add fd88::2 dev zpod0; ip -6 route add default via fd99::fe dev zbr0
    ip -6 route add fd77::/64 nexthop via fe80::7 dev zpod0 nexthop via fe80::7 dev zpod1
    ip neigh add 10.88.0.2 lladdr 02:00:00:00:00:02 dev zpod0; ip neigh add 10.88.0.9 dev zpod1 nud failed
    ip -6 neigh add fd88::2 lladdr 02:00:00:00:00:02 dev zpod0
    bridge fdb add 02:00:00:00:00:77 dev zveth1 master static
  `);
});

afterAll(() => {
  zoo?.remove();
  for (const pod of pods) pod.remove();
});

const by = <T, K>(list: readonly T[], key: (item: T) => K): Map<K, T> => new Map(list.map((item) => [key(item), item]));

describe('links', () => {
  it('of every kind are read as `ip -j` shows them', () => {
    const ours = by(dumpLinks(zoo.socket), (link) => link.name);
    const theirs = zoo.json('ip -d -j -s link');
    expect([...ours.keys()].sort()).toEqual(theirs.map((link) => link['ifname'] as string).sort());
    expect(theirs.length).toBeGreaterThan(8);
    for (const their of theirs) {
      const name = their['ifname'] as string;
      const link = ours.get(name)!;
      const flags = their['flags'] as string[];
      const info = (their['linkinfo'] ?? {}) as Record<string, unknown>;
      const masterName = [...ours.values()].find((other) => other.ifindex === link.master)?.name;
      const linkName = [...ours.values()].find((other) => other.ifindex === link.link)?.name;
      expect(
        {
          ifindex: link.ifindex,
          kind: link.kind,
          up: link.up,
          lowerUp: link.lowerUp,
          loopback: link.loopback,
          mac: link.mac,
          mtu: link.mtu,
          queues: link.txQueues,
          queueLength: link.txQueueLength,
          qdisc: link.qdisc,
          gso: link.gsoMaxBytes,
          gro: link.groMaxBytes,
          netnsid: link.linkNetnsid,
          master: masterName,
          link: link.linkNetnsid === undefined ? linkName : link.link,
        },
        name,
      ).toEqual({
        ifindex: their['ifindex'],
        kind: info['info_kind'],
        up: flags.includes('UP'),
        lowerUp: flags.includes('LOWER_UP'),
        loopback: flags.includes('LOOPBACK'),
        // tun has none; ip prints those of tunnels in another form.
        mac: their['link_type'] === 'ether' || their['link_type'] === 'loopback' ? their['address'] : link.mac,
        mtu: their['mtu'],
        queues: their['num_tx_queues'],
        queueLength: their['txqlen'] ?? 0,
        qdisc: their['qdisc'],
        gso: their['gso_max_size'],
        gro: their['gro_max_size'] ?? link.groMaxBytes,
        netnsid: their['link_netnsid'],
        master: their['master'],
        link: link.linkNetnsid === undefined ? their['link'] : their['link_index'],
      });
    }
  });

  it('count as the kernel counts', () => {
    const before = getLink(zoo.socket, 'lo')!;
    zoo.sh(`bash -c 'for i in 1 2 3; do printf %500s x >/dev/udp/127.0.0.1/9; done'`);
    const after = getLink(zoo.socket, before.ifindex)!;
    // Nobody listens, so an ICMP message of 528 bytes comes back for each.
    expect(after.stats.txPackets - before.stats.txPackets).toBe(6n);
    expect(after.stats.txBytes - before.stats.txBytes).toBe(3n * (542n + 542n));
    expect(after.stats.rxBytes).toBe(after.stats.txBytes);
    const [theirs] = zoo.json('ip -j -s link show lo') as [{ stats64: { tx: { bytes: number; packets: number } } }];
    expect(Number(after.stats.txBytes)).toBe(theirs.stats64.tx.bytes);
    expect(Number(after.stats.txPackets)).toBe(theirs.stats64.tx.packets);
  });

  it('are listed whole and once each while others come and go, or it is said that they were not', async () => {
    const churn = spawn('ip', ['netns', 'exec', zoo.name, 'ip', '-batch', '-'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const lines = Array.from({ length: 60 }, (_, i) => [
      `link add zc${i} type veth peer name zd${i}`,
      `link set zc${i} up`,
      `link del zc${i}`,
    ]);
    churn.stdin.on('error', () => undefined);
    churn.stdin.end(`${lines.flat().join('\n')}\n`);
    let ended = false;
    churn.on('exit', () => (ended = true));
    const stable = (list: readonly string[]): string[] => list.filter((name) => !/^z[cd]\d/.test(name)).sort();
    const expected = stable(dumpLinks(zoo.socket).map((link) => link.name));
    let changing = 0;
    let read = 0;
    while (!ended) {
      try {
        const names = dumpLinks(zoo.socket).map((link) => link.name);
        expect(stable(names)).toEqual(expected);
        expect(new Set(names).size).toBe(names.length);
        if (names.length !== expected.length) changing++;
        read++;
      } catch (error) {
        expect((error as { code?: string }).code).toBe('NETLINK_INCONSISTENT');
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(read).toBeGreaterThan(0);
    expect(changing).toBeGreaterThan(0);
  });

  it('that are not there are refused in the words of the kernel', async () => {
    const error = await errorOf(() => getLink(zoo.socket, 'nosuch0'));
    expect(error).toBeInstanceOf(NetlinkError);
    expect((error as NetlinkError).code).toBe('NETLINK_REFUSED');
    expect((error as NetlinkError).refusal.errno).toBe(19);
  });

  it('of a peer namespace name their other end', () => {
    const host = by(dumpLinks(zoo.socket), (link) => link.name);
    for (const i of [0, 1]) {
      const port = host.get(`zpod${i}`)!;
      const inside = dumpLinks(zoo.socket, port.linkNetnsid);
      const eth0 = inside.find((link) => link.ifindex === port.link)!;
      expect(eth0.name).toBe('eth0');
      expect(eth0.link).toBe(port.ifindex);
      expect(inside.map((link) => link.name).sort()).toEqual(['eth0', 'lo']);
    }
    expect(host.get('zpod0')!.linkNetnsid).not.toBe(host.get('zpod1')!.linkNetnsid);
    expect(host.get('zveth0')!.linkNetnsid).toBeUndefined();
  });
});

describe('addresses', () => {
  const theirs = (json: Record<string, unknown>[]): string[] =>
    json
      .flatMap((link) => (link['addr_info'] as Record<string, unknown>[]).map((info) => ({ link, info })))
      .map(({ link, info }) => `${String(link['ifindex'])} ${String(info['local'])}/${String(info['prefixlen'])}`)
      .sort();

  it('of the own namespace are read as `ip -j` shows them', () => {
    const ours = dumpAddresses(zoo.socket).map((a) => `${a.ifindex} ${a.address}/${a.prefixLength}`);
    expect(ours.sort()).toEqual(theirs(zoo.json('ip -j addr')));
    expect(ours.join()).toContain('192.0.2.5/32');
  });

  it('of a namespace that only its peer device leads to are read without entering it', () => {
    const host = by(dumpLinks(zoo.socket), (link) => link.name);
    for (const [i, pod] of pods.entries()) {
      const ours = dumpAddresses(zoo.socket, host.get(`zpod${i}`)!.linkNetnsid);
      const json = JSON.parse(pod.run('ip', '-j', 'addr')) as Record<string, unknown>[];
      expect(ours.map((a) => `${a.ifindex} ${a.address}/${a.prefixLength}`).sort()).toEqual(theirs(json));
      expect(ours.some((a) => a.address === `10.88.0.${i + 2}`)).toBe(true);
      expect(ours.some((a) => a.address === `fd88::${i + 2}`)).toBe(true);
    }
  });

  it('of a namespace that is gone are refused, and the socket goes on', async () => {
    const error = await errorOf(() => dumpAddresses(zoo.socket, 4711));
    expect((error as NetlinkError).code).toBe('NETLINK_REFUSED');
    expect((error as NetlinkError).message).toContain('Invalid target network namespace id');
    expect(dumpAddresses(zoo.socket).length).toBeGreaterThan(2);
  });

  it('of another namespace are refused to a process without CAP_NET_ADMIN, which is told so', () => {
    const netnsid = by(dumpLinks(zoo.socket), (link) => link.name).get('zpod0')!.linkNetnsid!;
    const script = `
      import { withNetlink } from '${import.meta.dirname}/../../lib/netlink/socket.ts';
      import { dumpAddresses } from '${import.meta.dirname}/../../lib/netlink/addresses.ts';
      try { withNetlink((socket) => dumpAddresses(socket, ${netnsid})); }
      catch (error) { console.log(error.code, error.details.expected); }
    `;
    const node = `'${process.execPath}' --input-type=module --no-warnings -e "$0"`;
    const line = `setpriv --bounding-set -net_admin --inh-caps -net_admin sh -c '${node.replaceAll("'", '')}' '${script.replaceAll("'", '"')}'`;
    expect(zoo.sh(line).trim()).toBe('NETLINK_NOT_PERMITTED CAP_NET_ADMIN');
  });
});

describe('routes', () => {
  it.each([4, 6] as const)('of IPv%i are read as `ip -j` shows them, of all tables', (family) => {
    const names = by(dumpLinks(zoo.socket), (link) => link.ifindex);
    const ours = dumpRoutes(zoo.socket, family)
      .filter((route) => route.table !== 255 && !route.destination.startsWith('ff'))
      .map((route) => {
        const devices = route.ifindexes.map((ifindex) => names.get(ifindex)!.name).sort();
        const via = route.viaGateway ? 'via' : 'direct';
        return `${route.destination}/${route.prefixLength} ${devices.join()} ${route.table} ${route.type} ${via}`;
      });
    const types: Record<string, number> = { unicast: 1, local: 2, broadcast: 3, multicast: 5, blackhole: 6 };
    const theirs = zoo.json(`ip -d -N -j -${family} route show table all`) as unknown as {
      dst: string;
      table?: string;
      type?: string;
      dev?: string;
      gateway?: string;
      nexthops?: { dev: string; gateway?: string }[];
    }[];
    const text = theirs
      .map(({ dst, table = '254', type = '1', dev, gateway, nexthops = [] }) => {
        const prefix = dst === 'default' ? (family === 4 ? '0.0.0.0/0' : '::/0') : dst;
        const whole = prefix.includes('/') ? prefix : `${prefix}/${family === 4 ? 32 : 128}`;
        const number = types[type] ?? Number(type);
        // ip shows a device (lo) for IPv6 blackholes only.
        const devices = number === 6 ? [] : dev === undefined ? nexthops.map((hop) => hop.dev) : [dev];
        const via = gateway !== undefined || nexthops.some((hop) => hop.gateway !== undefined) ? 'via' : 'direct';
        const line = `${whole} ${devices.sort().join(',')} ${Number(table)} ${number} ${via}`;
        return { whole, table: Number(table), line };
      })
      .filter((route) => route.table !== 255 && !route.whole.startsWith('ff'))
      .map((route) => route.line);
    expect(ours.sort()).toEqual(text.sort());
    expect(ours.length).toBeGreaterThan(4);
  });

  it('are kept only if wanted', () => {
    const hosts = dumpRoutes(zoo.socket, 4, () => (route) => route.prefixLength === 32 && route.table !== 255);
    expect(hosts.map((route) => `${route.destination} ${route.table}`).sort()).toEqual([
      '10.88.0.2 254',
      '10.88.0.3 1234567',
      '192.0.2.6 254',
    ]);
  });
});

describe('neighbours', () => {
  it('are read but for those that failed', () => {
    const names = by(dumpLinks(zoo.socket), (link) => link.ifindex);
    const show = (family: 4 | 6): string[] =>
      dumpNeighbours(zoo.socket, family)
        .filter((n) => n.mac.startsWith('02:'))
        .map((n) => `${n.address} ${n.mac} ${names.get(n.ifindex)!.name}`);
    expect(show(4)).toEqual(['10.88.0.2 02:00:00:00:00:02 zpod0']);
    expect(show(6)).toEqual(['fd88::2 02:00:00:00:00:02 zpod0']);
  });

  it('behind ports of a bridge are read without the own addresses of the ports', () => {
    const names = by(dumpLinks(zoo.socket), (link) => link.ifindex);
    const entries = dumpForwarding(zoo.socket).map((e) => [
      names.get(e.ifindex)!.name,
      names.get(e.master)!.name,
      e.mac,
    ]);
    expect(entries).toContainEqual(['zveth1', 'zbr0', '02:00:00:00:00:77']);
    expect(entries.map(([, , mac]) => mac)).not.toContain(names.get(1)?.mac);
    expect(entries.some(([, , mac]) => mac === [...names.values()].find((l) => l.name === 'zveth1')!.mac)).toBe(false);
  });
});
