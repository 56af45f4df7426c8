import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  bpfObjectPath,
  ensureBpffs,
  isBpffs,
  loadBpf,
  mountBpffs,
  openPinnedMap,
  unmountBpffs,
} from '../../lib/bpf/index.ts';
import { buildBpf, errorOf, temporaryDir } from '../support/bpf.ts';

beforeAll(buildBpf);

let temporary: ReturnType<typeof temporaryDir>;
let dir: string;
beforeEach(() => {
  temporary = temporaryDir();
  dir = join(temporary.path, 'run', 'bpf');
});
afterEach(() => {
  unmountBpffs(dir);
  temporary.remove();
});

const KEY = new Uint8Array(24).fill(7);
const VALUE = new Uint8Array(32).fill(9);

describe('a bpffs of our own', () => {
  it('is mounted once, with its directories, and taken away again', () => {
    expect(ensureBpffs(dir)).toEqual({ dir, mounted: true });
    expect(isBpffs(dir)).toBe(true);
    expect(ensureBpffs(dir)).toEqual({ dir, mounted: false });
    expect(ensureBpffs(join(dir, 'deeper', 'still'))).toEqual({ dir: join(dir, 'deeper', 'still'), mounted: false });
    execFileSync('rmdir', [join(dir, 'deeper', 'still'), join(dir, 'deeper')]);
    unmountBpffs(dir);
    expect(existsSync(dir)).toBe(false);
    unmountBpffs(dir);
  });

  it('covers nothing that is not ours', () => {
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'file'), '');
    expect(() => ensureBpffs(dir)).toThrow(
      expect.objectContaining({ code: 'BPFFS_UNUSABLE', details: expect.objectContaining({ place: dir }) as object }),
    );
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(dir);
    execFileSync('rm', [join(dir, 'file')]);
    execFileSync('chown', ['65534', dir]);
    expect(() => mountBpffs(dir)).toThrow(/directory of its own/);
    expect(() => ensureBpffs(join(import.meta.filename, 'below'))).toThrow(
      expect.objectContaining({ code: 'BPFFS_UNUSABLE' }),
    );
  });

  it('leaves a mount of others alone', () => {
    mkdirSync(dir, { recursive: true });
    execFileSync('mount', ['-t', 'bpf', 'bpf', dir]);
    try {
      expect(ensureBpffs(dir)).toEqual({ dir, mounted: false });
      unmountBpffs(dir);
      expect(isBpffs(dir)).toBe(true);
    } finally {
      execFileSync('umount', [dir]);
    }
  });

  it('is not made below /sys/fs/bpf when that is not mounted, and the attempt ends', () => {
    if (isBpffs('/sys/fs/bpf')) return;
    expect(() => ensureBpffs('/sys/fs/bpf/netloom-test/x')).toThrow(
      expect.objectContaining({ code: 'BPFFS_UNUSABLE' }),
    );
    expect(() => ensureBpffs('/sys/fs/bpf')).toThrow(expect.objectContaining({ code: 'BPFFS_UNUSABLE' }));
  });
});

describe('pinned maps', () => {
  const load = (maxEntries = 100) =>
    loadBpf({
      object: bpfObjectPath('test-maps'),
      maxEntries: { flows_hash: maxEntries },
      pins: { dir, maps: ['flows_hash'] },
    });

  it('outlive the object, and are taken up by the next one', async () => {
    ensureBpffs(dir);
    const first = await load();
    first.map('flows_hash').update(KEY, VALUE);
    const { id } = first.map('flows_hash');
    first.close();
    const second = await load();
    expect(second.map('flows_hash').id).toBe(id);
    expect(second.map('flows_hash').lookup(KEY)).toEqual(VALUE);
    second.close();
  });

  it('of another size are refused with their path', async () => {
    ensureBpffs(dir);
    (await load(100)).close();
    const error = await errorOf(() => load(200));
    expect(error).toMatchObject({ code: 'BPF_LOAD_FAILED' });
    expect(String(error)).toContain(join(dir, 'flows_hash'));
    expect(String(error)).toContain('another type, size or number of entries');
  });

  it('need a bpffs', async () => {
    expect(await errorOf(() => load())).toMatchObject({ code: 'BPFFS_UNUSABLE', details: { place: dir } });
  });

  it('are opened by path, read only if that is asked', async () => {
    ensureBpffs(dir);
    const object = await loadBpf({ object: bpfObjectPath('test-maps') });
    object.map('flows_hash').update(KEY, VALUE);
    const path = join(dir, 'flows');
    object.map('flows_hash').pin(path);
    expect(() => object.map('flows_hash').pin(path)).toThrow(/name is taken/);
    object.close();

    const map = openPinnedMap(path, { readOnly: true });
    expect(map.lookup(KEY)).toEqual(VALUE);
    expect(await map.readAll(() => undefined)).toBe(1);
    expect(() => map.update(KEY, VALUE)).toThrow(/EPERM/);
    map.close();
    map.close();
    expect(() => map.lookup(KEY)).toThrow(expect.objectContaining({ code: 'BPF_CLOSED' }));
    const writable = openPinnedMap(path);
    writable.update(KEY, new Uint8Array(32));
    writable.close();
    expect(() => openPinnedMap(join(dir, 'nothing'))).toThrow(/nothing is pinned there/);
    expect(() => openPinnedMap(import.meta.filename)).toThrow(expect.objectContaining({ code: 'BPF_PIN_FAILED' }));
  });

  it('are read without any capability where the mode of the pin allows it', async () => {
    ensureBpffs(dir);
    const object = await loadBpf({ object: bpfObjectPath('test-maps') });
    object.map('flows_hash').update(KEY, VALUE);
    const path = join(dir, 'flows');
    object.map('flows_hash').pin(path);
    object.close();
    for (const level of [temporary.path, join(temporary.path, 'run'), dir]) chmodSync(level, 0o711);
    chmodSync(path, 0o444);
    const index = join(import.meta.dirname, '..', '..', 'lib', 'bpf', 'index.ts');
    const script = `
      import { openPinnedMap } from ${JSON.stringify(index)};
      process.setgroups([]); process.setgid(65534); process.setuid(65534);
      const map = openPinnedMap(${JSON.stringify(path)}, { readOnly: true });
      console.log(await map.readAll(() => undefined));`;
    expect(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).trim()).toBe(
      '1',
    );
  });

  it('cannot lie on another file system', async () => {
    const object = await loadBpf({ object: bpfObjectPath('test-maps') });
    const path = join(temporary.path, 'pin');
    expect(() => object.map('flows_hash').pin(path)).toThrow(
      expect.objectContaining({ code: 'BPF_PIN_FAILED', details: expect.objectContaining({ place: path }) as object }),
    );
    object.close();
  });
});

describe('pinned links', () => {
  async function openOneConnection(): Promise<void> {
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connect((server.address() as { port: number }).port, '127.0.0.1');
    await once(socket, 'connect');
    socket.destroy();
    server.close();
  }

  it('go on when their object is closed, until the pin goes', async () => {
    ensureBpffs(dir);
    const object = await loadBpf({ object: bpfObjectPath('test-tracing'), pins: { dir, maps: ['seen'] } });
    const path = join(dir, 'on_state');
    object.program('on_state').attachTracing().pin(path);
    object.close();
    const seen = openPinnedMap(join(dir, 'seen'));
    const count = (): bigint => Buffer.from(seen.lookup(new Uint8Array(4)) ?? []).readBigUInt64LE();
    const before = count();
    await openOneConnection();
    expect(count()).toBeGreaterThan(before);
    execFileSync('rm', [path]);
    seen.close();
  });

  it('take their pin along when they are detached', async () => {
    ensureBpffs(dir);
    const object = await loadBpf({ object: bpfObjectPath('test-tracing') });
    const link = object.program('on_state').attachTracing();
    const path = join(dir, 'on_state');
    link.pin(path);
    expect(existsSync(path)).toBe(true);
    link.detach();
    expect(existsSync(path)).toBe(false);
    object.close();
  });
});
