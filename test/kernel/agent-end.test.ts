import koffi from 'koffi';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Processes, until } from '../support/netloom.ts';

const processes = new Processes();
let dir: string | undefined;

afterEach(async () => {
  await processes.cleanup();
  if (dir !== undefined) await rm(dir, { recursive: true, force: true });
});

type Kind = 'prog' | 'map' | 'link';
interface Held {
  readonly kind: Kind;
  readonly id: number;
}

const libbpf = koffi.load('libbpf.so.1');
const openById: Readonly<Record<Kind, (id: number) => number>> = {
  prog: libbpf.func('int bpf_prog_get_fd_by_id(uint32_t id)') as (id: number) => number,
  map: libbpf.func('int bpf_map_get_fd_by_id(uint32_t id)') as (id: number) => number,
  link: libbpf.func('int bpf_link_get_fd_by_id(uint32_t id)') as (id: number) => number,
};

/** Programs, maps and links that a process holds, by the kernel's own numbers: other agents may run beside this one. */
async function heldBy(pid: number): Promise<Held[]> {
  const held: Held[] = [];
  for (const fd of await readdir(`/proc/${pid}/fdinfo`)) {
    const text = await readFile(`/proc/${pid}/fdinfo/${fd}`, 'utf8').catch(() => '');
    // A link tells the program that it is of too.
    for (const [, kind, id] of text.matchAll(/^(prog|map|link)_id:\s+(\d+)$/gm))
      held.push({ kind: kind as Kind, id: Number(id) });
  }
  return held;
}

/** Whether the kernel still has it; a pin, too, would keep it. */
function exists({ kind, id }: Held): boolean {
  const fd = openById[kind](id);
  if (fd < 0) return false;
  closeSync(fd);
  return true;
}

describe('an agent that has ended', () => {
  it.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)('by %s leaves no program, map, link or pin', async (signal) => {
    dir = await mkdtemp(join(tmpdir(), 'netloom-e2e-'));
    const scope = join(dir, 'scope');
    await writeFile(scope, '/proc/self/ns/net\n');
    const agent = processes.start(
      ['agent', '--node', 'alpha', '--scheduler', '127.0.0.1:1', '--interval', '100ms', '--log-format', 'json'].concat([
        '--scope',
        scope,
      ]),
    );
    await agent.says('measuring');
    const held = await heldBy(agent.pid);
    for (const kind of ['prog', 'map', 'link'] as const)
      expect(held.filter((one) => one.kind === kind)).not.toEqual([]);
    expect(held.filter((one) => !exists(one))).toEqual([]);

    expect(await agent.end(signal)).toEqual(
      signal === 'SIGKILL' ? { status: null, signal } : { status: 0, signal: null },
    );
    // The kernel frees them a grace period after the last reference went.
    await until('all are gone', () => !held.some(exists));
  });
});
