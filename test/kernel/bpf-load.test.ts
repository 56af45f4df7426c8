import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { beforeAll, describe, expect, it } from 'vitest';
import { BpfLoadError, bpfObjectPath, libbpfIsTested, libbpfVersion, loadBpf } from '../../lib/bpf/index.ts';
import { buildBpf, errorOf } from '../support/bpf.ts';

beforeAll(buildBpf);

describe('loading', () => {
  it('uses a libbpf that is tested', () => {
    expect(libbpfIsTested(libbpfVersion())).toBe(true);
    expect(libbpfIsTested('1.4.6')).toBe(true);
    expect(libbpfIsTested('1.7')).toBe(false);
    expect(libbpfIsTested('1.10')).toBe(false);
  });

  it('sets constants and sizes, and leaves programs out', async () => {
    const object = await loadBpf({
      object: bpfObjectPath('test-maps'),
      constants: { per_run: 3, signed_base: -5n },
      maxEntries: { flows_hash: 77 },
      skipPrograms: ['accept_all'],
    });
    try {
      expect(object.map('flows_hash')).toMatchObject({
        name: 'flows_hash',
        maxEntries: 77,
        keySize: 24,
        valueSize: 32,
      });
      expect(object.program('fill_ring').testRun(new Uint8Array(64)).retval).toBe(7);
      const next = object.map('counters').lookup(new Uint8Array(4));
      expect(Buffer.from(next ?? []).readBigUInt64LE()).toBe(3n);
      expect(() => object.program('accept_all').fd).toThrow(/not loaded/);
    } finally {
      object.close();
    }
  });

  it('takes the object from memory too', async () => {
    const object = await loadBpf({ object: await readFile(bpfObjectPath('probe-tc')) });
    expect(object.program('probe').id).toBeGreaterThan(0);
    object.close();
  });

  it('names what exists when asked for what does not', async () => {
    const path = bpfObjectPath('test-maps');
    const error = await errorOf(() => loadBpf({ object: path, maxEntries: { flows_hsh: 1 } }));
    expect(error).toMatchObject({
      code: 'BPF_NAME_UNKNOWN',
      details: { found: expect.stringContaining('flows_hash') as string },
    });
    expect(await errorOf(() => loadBpf({ object: path, skipPrograms: ['x'] }))).toMatchObject({
      code: 'BPF_NAME_UNKNOWN',
    });
    const object = await loadBpf({ object: path });
    expect(() => object.map('nothing')).toThrow(expect.objectContaining({ code: 'BPF_NAME_UNKNOWN' }));
    expect(() => object.program('nothing')).toThrow(expect.objectContaining({ code: 'BPF_NAME_UNKNOWN' }));
    object.close();
  });

  it('refuses to be used after it was closed, and closes twice without harm', async () => {
    const object = await loadBpf({ object: bpfObjectPath('test-maps') });
    const map = object.map('flows_hash');
    const program = object.program('fill_ring');
    object.close();
    object.close();
    const closed = expect.objectContaining({ code: 'BPF_CLOSED' }) as Error;
    expect(() => object.map('flows_hash')).toThrow(closed);
    expect(() => map.lookup(new Uint8Array(24))).toThrow(closed);
    expect(() => program.testRun(new Uint8Array(64))).toThrow(closed);
    await expect(map.readAll(() => undefined)).rejects.toThrow(closed);
  });
});

describe('a load that fails', () => {
  it.each([
    ['test-bad-null', 'test-bad-null.bpf.c:18 `*value += 1;`', 'without checking it for NULL'],
    ['test-bad-bounds', '`value[skb->mark] = 1;`', 'cannot bound'],
    ['test-bad-packet', '`return data[12];`', 'data_end'],
    ['test-bad-loop', '`for (__u32 i = 0; i != skb->mark; i++)`', 'too many steps'],
    ['test-bad-license', '`bpf_trace_printk("x", 2);`', 'GPL-compatible license'],
    ['test-bad-stack', '`bpf_skb_load_bytes(skb, 0, slot, 8);`', 'stack'],
  ])("shows the verifier's reason and the C line before the raw log: %s", async (name, source, meaning) => {
    const error = (await errorOf(() => loadBpf({ object: bpfObjectPath(name) }))) as BpfLoadError;
    expect(error).toBeInstanceOf(BpfLoadError);
    expect(error.code).toBe('BPF_LOAD_FAILED');
    expect(error.message).toContain('program bad');
    expect(error.message).toContain(source);
    expect(error.message).toContain(meaning);
    expect(error.message).not.toContain('\n');
    expect(error.log).toContain('processed');
    const text = error.describe();
    expect(text.indexOf(meaning)).toBeLessThan(text.indexOf('BEGIN PROG LOAD LOG'));
  });

  it.each([
    ['test-bad-target', 'attaches to netloom_no_such_event'],
    ['test-bad-map', 'map impossible cannot be created: EINVAL'],
  ])('says what the kernel lacks: %s', async (name, text) => {
    const error = (await errorOf(() => loadBpf({ object: bpfObjectPath(name) }))) as BpfLoadError;
    expect(error.code).toBe('BPF_LOAD_FAILED');
    expect(error.message).toContain(text);
  });

  it('names a file that is missing, and one that is no object', async () => {
    expect(await errorOf(() => loadBpf({ object: '/nowhere/x.bpf.o' }))).toMatchObject({
      code: 'BPF_OBJECT_MISSING',
      details: { place: '/nowhere/x.bpf.o' },
    });
    expect(await errorOf(() => loadBpf({ object: import.meta.filename }))).toMatchObject({
      code: 'BPF_OBJECT_INVALID',
    });
    expect(() => bpfObjectPath('never-written')).toThrow(expect.objectContaining({ code: 'BPF_OBJECT_MISSING' }));
  });

  it('refuses sizes that no map can have', async () => {
    for (const entries of [0, -1, 1.5, 2 ** 32, Number.NaN]) {
      const load = loadBpf({ object: bpfObjectPath('test-maps'), maxEntries: { flows_hash: entries } });
      await expect(load).rejects.toMatchObject({ code: 'BPF_MAP_FAILED' });
    }
  });

  it('does no harm in a worker thread that ends: libbpf prints to nobody there', async () => {
    const index = new URL('../../lib/bpf/index.ts', import.meta.url).href;
    const script = `
      import { parentPort } from 'node:worker_threads';
      import { bpfObjectPath, loadBpf } from ${JSON.stringify(index)};
      const error = await loadBpf({ object: bpfObjectPath('test-bad-null') }).catch((thrown) => thrown);
      parentPort.postMessage(error.code);`;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`));
    const [code] = (await once(worker, 'message')) as [string];
    expect(code).toBe('BPF_LOAD_FAILED');
    await worker.terminate();
    const error = (await errorOf(() => loadBpf({ object: bpfObjectPath('test-bad-null') }))) as BpfLoadError;
    expect(error.message).toContain('`*value += 1;`');
  });

  it('leaves no descriptor behind', async () => {
    await errorOf(() => loadBpf({ object: bpfObjectPath('test-bad-null') }));
    const before = readdirSync('/proc/self/fd').length;
    for (let round = 0; round < 5; round++) await errorOf(() => loadBpf({ object: bpfObjectPath('test-bad-null') }));
    expect(readdirSync('/proc/self/fd').length).toBe(before);
  });
});

const ATTEMPT = `
  const { loadBpf, bpfObjectPath, probeFeatures } = await import(process.env.INDEX);
  const error = await loadBpf({ object: bpfObjectPath('probe-tracing') }).catch((thrown) => thrown);
  const probes = await probeFeatures();
  process.stdout.write(JSON.stringify({ code: error.code, text: error.describe?.(), probes }));
`;

function attempt(command: string, args: string[], env: Record<string, string> = {}) {
  const index = join(import.meta.dirname, '..', '..', 'lib', 'bpf', 'index.ts');
  const output = execFileSync(command, [...args, process.execPath, '--input-type=module', '-e', ATTEMPT], {
    encoding: 'utf8',
    env: { ...process.env, INDEX: index, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return JSON.parse(output) as {
    code: string;
    text: string;
    probes: { feature: string; available: boolean; reason?: string; missing?: string }[];
  };
}

describe('a process without the rights or the library', () => {
  it('is told which capabilities are missing, and the probes tell that from a missing feature', () => {
    const dropped = '-bpf,-perfmon,-sys_admin,-net_admin';
    const { code, text, probes } = attempt('setpriv', [`--bounding-set=${dropped}`, `--inh-caps=${dropped}`]);
    expect(code).toBe('BPF_NOT_PERMITTED');
    expect(text).toContain('CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN');
    const tracing = probes.find(({ feature }) => feature === 'tp_btf');
    expect(tracing).toMatchObject({
      available: false,
      missing: 'capability',
      reason: 'this process lacks CAP_BPF, CAP_PERFMON',
    });
    expect(probes.find(({ feature }) => feature === 'btf')?.available).toBe(true);
  });

  it('is told that libbpf is missing and how to get it', () => {
    const { code, text, probes } = attempt('env', [], { NETLOOM_LIBBPF: '/nowhere/libbpf.so.1' });
    expect(code).toBe('BPF_LIBRARY_MISSING');
    expect(text).toContain('NETLOOM_LIBBPF=/nowhere/libbpf.so.1');
    expect(text).toContain('apt-get install libbpf1');
    expect(probes.find(({ feature }) => feature === 'tp_btf')).toMatchObject({ available: false, missing: 'library' });
  });
});
