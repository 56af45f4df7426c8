import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createServer, connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cgroup2Mount, withEmptyCgroup } from '../../lib/bpf/cgroup.ts';
import {
  bpfObjectPath,
  enableRunStats,
  inNetns,
  loadBpf,
  type BpfObject,
  type TcDirection,
} from '../../lib/bpf/index.ts';
import { buildBpf, errorOf, makeNetns, uniqueName } from '../support/bpf.ts';

const LOOPBACK = 1;

beforeAll(buildBpf);

function counter(object: BpfObject, map: string, slot: number): number {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(slot);
  return Number(Buffer.from(object.map(map).lookup(key) ?? []).readBigUInt64LE());
}

describe('tracing and iterators', () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket));
  let object: BpfObject;

  beforeEach(async () => {
    object = await loadBpf({ object: bpfObjectPath('test-tracing') });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => {
    object.close();
    for (const socket of sockets.splice(0)) socket.destroy();
    server.close();
  });

  async function open(connections: number): Promise<void> {
    const { port } = server.address() as { port: number };
    const opened = Array.from({ length: connections }, () => connect(port, '127.0.0.1'));
    sockets.push(...opened);
    await Promise.all(opened.map((socket) => once(socket, 'connect')));
  }

  it('hear of real sockets, and walk their storages', async () => {
    const link = object.program('on_state').attachTracing();
    expect(link.kind).toBe('tracing');
    await open(40);
    const iterator = object.program('walk').attachIter(object.map('sockets'));
    expect(await iterator.run()).toBeGreaterThanOrEqual(80);
    expect(counter(object, 'seen', 1)).toBeGreaterThanOrEqual(80);

    const bytes = await Promise.all([iterator.run(), iterator.run()]);
    expect(Math.min(...bytes)).toBeGreaterThanOrEqual(80);
  });

  it('stop when they are detached', async () => {
    const link = object.program('on_state').attachTracing();
    await open(1);
    link.detach();
    link.detach();
    const before = counter(object, 'seen', 0);
    expect(before).toBeGreaterThan(0);
    await open(3);
    expect(counter(object, 'seen', 0)).toBe(before);
  });

  it('count their runs while somebody asks for it', async () => {
    const program = object.program('on_state');
    program.attachTracing();
    const [first, second] = [enableRunStats(), enableRunStats()];
    first.close();
    first.close();
    await open(5);
    expect(program.runStats().runs).toBeGreaterThanOrEqual(5);
    expect(program.runStats().runNs).toBeGreaterThan(0);
    second.close();
  });

  it('of an iterator that is closed under a pass end it without harm', async () => {
    object.program('on_state').attachTracing();
    await open(20);
    const iterator = object.program('walk').attachIter(object.map('sockets'));
    const pass = iterator.run();
    object.close();
    await pass.catch(() => undefined);
    await expect(iterator.run()).rejects.toThrow(expect.objectContaining({ code: 'BPF_CLOSED' }));
  });

  it('leave no descriptor behind', async () => {
    const iterator = object.program('walk').attachIter(object.map('sockets'));
    await iterator.run();
    const before = readdirSync('/proc/self/fd').length;
    for (let pass = 0; pass < 200; pass++) await iterator.run();
    for (let round = 0; round < 50; round++) object.program('on_state').attachTracing().detach();
    expect(readdirSync('/proc/self/fd').length).toBe(before);
  });

  it('refuse a program of another kind in one line', async () => {
    const error = await errorOf(() => object.program('walk').attachTracing());
    expect(error).toMatchObject({ code: 'BPF_ATTACH_FAILED' });
    expect(String(error)).toContain('walk (iter/bpf_sk_storage_map)');
  });
});

describe('cgroup programs', () => {
  it('see what leaves their cgroup, and nothing after they were detached', async () => {
    const mount = cgroup2Mount();
    expect(mount).toBeDefined();
    const object = await loadBpf({ object: bpfObjectPath('test-cgroup') });
    const name = uniqueName();
    const send = `echo $$ > ${join(mount ?? '', name, 'cgroup.procs')} && echo x > /dev/udp/127.0.0.1/9`;
    try {
      withEmptyCgroup(mount ?? '', name, (fd) => {
        const link = object.program('count_egress').attachCgroup(fd);
        expect(link.kind).toBe('cgroup');
        execFileSync('bash', ['-c', send]);
        expect(counter(object, 'packets', 0)).toBe(1);
        link.detach();
        execFileSync('bash', ['-c', send]);
        expect(counter(object, 'packets', 0)).toBe(1);
      });
    } finally {
      object.close();
    }
  });
});

describe('interface programs', () => {
  let netns: ReturnType<typeof makeNetns>;
  let netnsFd: number;
  let object: BpfObject;

  beforeEach(async () => {
    netns = makeNetns();
    netnsFd = openSync(netns.path, 'r');
    object = await loadBpf({ object: bpfObjectPath('test-maps') });
  });
  afterEach(() => {
    object.close();
    closeSync(netnsFd);
    netns.remove();
  });

  const attach = (program: string, direction: TcDirection, kind: 'auto' | 'tcx' | 'clsact' = 'auto') =>
    inNetns(netnsFd, () => object.program(program).attachTcx(LOOPBACK, direction, { kind }));
  const sendOne = (): string => netns.run('bash', '-c', 'echo x > /dev/udp/127.0.0.1/9');
  const packets = (slot: number): number => counter(object, 'counters', slot);
  const qdiscs = (): string => netns.run('tc', 'qdisc', 'show', 'dev', 'lo');
  const filters = (direction: TcDirection): string => netns.run('tc', 'filter', 'show', 'dev', 'lo', direction);

  /** A filter of somebody else, made by tc itself. */
  const addFilter = (direction: TcDirection, priority: number, handle: string, verb = 'add'): string =>
    netns.run(
      ...['tc', 'filter', verb, 'dev', 'lo', direction, 'pref', String(priority), 'handle', handle, 'protocol', 'all'],
      ...['bpf', 'da', 'obj', bpfObjectPath('probe-tc'), 'sec', 'tc'],
    );

  it('come first in the tcx chain, before programs that were there and end it', () => {
    attach('accept_all', 'egress');
    const link = attach('count_packets', 'egress');
    expect(link.kind).toBe('tcx');
    sendOne();
    expect(packets(2)).toBeGreaterThan(0);
    expect(packets(3)).toBe(packets(2));
    link.detach();
    const before = packets(2);
    sendOne();
    expect(packets(2)).toBe(before);
    expect(packets(3)).toBeGreaterThan(before);
  });

  it('are clsact filters on demand, and leave neither filter nor qdisc', () => {
    const out = attach('count_packets', 'egress', 'clsact');
    const into = attach('count_packets', 'ingress', 'clsact');
    expect(out.kind).toBe('clsact');
    expect(qdiscs()).toContain('clsact');
    expect(filters('egress')).toMatch(/pref 1 .*handle 0x4e4c/);
    sendOne();
    expect(packets(2)).toBeGreaterThanOrEqual(2);
    out.detach();
    out.detach();
    expect(qdiscs()).toContain('clsact');
    expect(filters('egress').trim()).toBe('');
    into.detach();
    expect(qdiscs()).not.toContain('clsact');
  });

  it('run before a clsact filter that was there', () => {
    netns.run('tc', 'qdisc', 'add', 'dev', 'lo', 'clsact');
    addFilter('egress', 1, '0x1');
    attach('count_packets', 'egress', 'clsact');
    sendOne();
    expect(packets(2)).toBeGreaterThan(0);
  });

  it('leave a clsact qdisc that was there before them', () => {
    netns.run('tc', 'qdisc', 'add', 'dev', 'lo', 'clsact');
    attach('count_packets', 'egress', 'clsact').detach();
    expect(qdiscs()).toContain('clsact');
    expect(filters('egress').trim()).toBe('');
  });

  it('leave the qdisc that they made, if somebody else has come to use it', () => {
    const link = attach('count_packets', 'egress', 'clsact');
    addFilter('ingress', 50, '0x1');
    link.detach();
    expect(qdiscs()).toContain('clsact');
    expect(filters('ingress')).toContain('pref 50');
    expect(filters('egress').trim()).toBe('');
  });

  it('leave a filter by which somebody replaced theirs', () => {
    const link = attach('count_packets', 'egress', 'clsact');
    addFilter('egress', 1, '0x4e4c', 'replace');
    link.detach();
    expect(filters('egress')).toContain('handle 0x4e4c');
  });

  it('replace what a process that died left behind, but not what this one has there', () => {
    netns.run('tc', 'qdisc', 'add', 'dev', 'lo', 'clsact');
    addFilter('egress', 1, '0x4e4c');
    attach('count_packets', 'egress', 'clsact');
    expect(filters('egress').match(/handle/g)).toHaveLength(1);
    sendOne();
    expect(packets(2)).toBeGreaterThan(0);
    expect(() => attach('count_packets', 'egress', 'clsact')).toThrow(/already/);
  });

  it('are gone without an error when their interface is', () => {
    netns.run('ip', 'link', 'add', 'nltd0', 'type', 'veth', 'peer', 'name', 'nltd1');
    const index = Number(netns.run('cat', '/sys/class/net/nltd0/ifindex'));
    const links = inNetns(netnsFd, () =>
      (['tcx', 'clsact'] as const).map((kind) => object.program('count_packets').attachTcx(index, 'egress', { kind })),
    );
    netns.run('ip', 'link', 'del', 'nltd0');
    for (const link of links) link.detach();
  });

  it('name the interface that does not exist', () => {
    expect(() => inNetns(netnsFd, () => object.program('count_packets').attachTcx(4242, 'ingress'))).toThrow(
      expect.objectContaining({ code: 'BPF_ATTACH_FAILED', details: { place: 'interface 4242, ingress' } }),
    );
  });

  it('are all detached when their object closes', () => {
    attach('count_packets', 'egress', 'clsact');
    attach('count_packets', 'ingress', 'tcx');
    object.close();
    expect(qdiscs()).not.toContain('clsact');
  });
});
