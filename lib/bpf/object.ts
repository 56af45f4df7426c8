import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { NetloomError, messageOf } from '../errors.ts';
import { isBpffs } from './bpffs.ts';
import { btfOfElf, type Btf } from './btf.ts';
import { missingCapabilities } from './capabilities.ts';
import { patchRodata } from './constants.ts';
import { parseElf, type ElfObject } from './elf.ts';
import { bpfError } from './errno.ts';
import { addressOf, callAsync, lastErrno, libbpf, type Pointer } from './libbpf.ts';
import { trimHeap } from './libc.ts';
import { Lifetime } from './lifetime.ts';
import { explainLoadFailure } from './load-error.ts';
import { captureLibbpfLog } from './load-log.ts';
import { FdMap } from './map.ts';
import { LoadedProgram } from './program.ts';
import { findSourceLine } from './source-lines.ts';
import type { BpfLink, BpfMap, BpfObject, BpfProgram, LoadOptions } from './types.ts';

/** struct bpf_object_open_opts up to object_name. */
const OPEN_OPTS_SIZE = 16;
const MAX_ENTRIES = 0xffff_ffff;
const RODATA_MAP = '.rodata';

/**
 * Opens and loads an object; the verifier runs on the thread pool.
 * @throws NetloomError BPF_LIBRARY_MISSING, BPF_OBJECT_MISSING, BPF_OBJECT_INVALID, BPF_NAME_UNKNOWN,
 * BPF_CONSTANT_INVALID, BPFFS_UNUSABLE, BPF_NOT_PERMITTED; BpfLoadError BPF_LOAD_FAILED with the verifier's reason
 */
export async function loadBpf(options: LoadOptions): Promise<BpfObject> {
  const place = typeof options.object === 'string' ? options.object : 'object in memory';
  const bytes = typeof options.object === 'string' ? await readObject(options.object) : options.object;
  const elf = parseElf(bytes, place);
  const btf = btfOfElf(elf, place);
  const plan: Plan = { options, place, bytes, btf, rodata: patchRodata(elf, btf, options.constants ?? {}) };
  if (options.pins !== undefined) assertBpffs(options.pins.dir);

  const object = openObject(plan, elf);
  let status: number;
  try {
    status = await callAsync(libbpf().bpf_object__load, object);
  } catch (error) {
    libbpf().bpf_object__close(object);
    throw error;
  }
  if (status < 0) {
    libbpf().bpf_object__close(object);
    throw explain(plan, elf, status);
  }
  // For tracing programs libbpf parses the kernel's whole BTF, and glibc keeps the 10-15 MB for the pool thread.
  trimHeap();
  return new LoadedObject(object, plan);
}

interface Plan {
  readonly options: LoadOptions;
  readonly place: string;
  readonly bytes: Uint8Array;
  readonly btf: Btf;
  readonly rodata: Uint8Array | undefined;
}

async function readObject(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new NetloomError('BPF_OBJECT_MISSING', `the BPF object cannot be read: ${messageOf(error)}`, {
      place: path,
      cause: error,
    });
  }
}

function assertBpffs(dir: string): void {
  if (isBpffs(dir)) return;
  throw new NetloomError('BPFFS_UNUSABLE', 'maps cannot be pinned there', {
    place: dir,
    expected: 'a directory on a bpffs',
    found: 'another file system, or nothing',
  });
}

function openObject(plan: Plan, elf: ElfObject): Pointer {
  const { bytes, place } = plan;
  const name = Buffer.from(`${basename(place).replace(/\..*$/, '').replaceAll(/\W/g, '_')}\0`);
  const opts = Buffer.alloc(OPEN_OPTS_SIZE);
  opts.writeBigUInt64LE(BigInt(OPEN_OPTS_SIZE), 0);
  opts.writeBigUInt64LE(addressOf(name), 8);
  const object = libbpf().bpf_object__open_mem(bytes, bytes.length, opts);
  if (object === null) throw explain(plan, elf, -lastErrno());
  try {
    configure(object, plan);
  } catch (error) {
    libbpf().bpf_object__close(object);
    throw error;
  }
  return object;
}

function configure(object: Pointer, { options, place, rodata }: Plan): void {
  const api = libbpf();
  const findMap = (name: string): Pointer => {
    const map = api.bpf_object__find_map_by_name(object, name);
    if (map === null) throw unknownName('map', name, mapNames(object), place);
    return map;
  };
  const assertDone = (status: number, what: string): void => {
    if (status < 0) throw bpfError('BPF_LOAD_FAILED', what, status, { place });
  };
  if (rodata !== undefined) {
    assertDone(api.bpf_map__set_initial_value(findMap(RODATA_MAP), rodata, rodata.length), 'constants cannot be set');
  }
  for (const [name, entries] of Object.entries(options.maxEntries ?? {})) {
    if (!Number.isInteger(entries) || entries < 1 || entries > MAX_ENTRIES) {
      throw new NetloomError('BPF_MAP_FAILED', `map ${name} cannot have ${entries} entries`, {
        place,
        expected: `a whole number from 1 to ${MAX_ENTRIES}`,
      });
    }
    assertDone(api.bpf_map__set_max_entries(findMap(name), entries), `map ${name} cannot have ${entries} entries`);
  }
  for (const name of options.pins?.maps ?? []) {
    assertDone(api.bpf_map__set_pin_path(findMap(name), join(options.pins?.dir ?? '', name)), `pinning map ${name}`);
  }
  const programs = new Map([...programsOf(object)].map((program) => [api.bpf_program__name(program), program]));
  for (const name of options.skipPrograms ?? []) {
    const program = programs.get(name);
    if (program === undefined) throw unknownName('program', name, [...programs.keys()], place);
    assertDone(api.bpf_program__set_autoload(program, false), `program ${name} cannot be skipped`);
  }
}

/**
 * Loads once more, only to hear why it fails: libbpf's text comes through a callback that must not be set while other
 * threads use libbpf, so the load proper runs without it.
 */
function explain(plan: Plan, elf: ElfObject, status: number): NetloomError {
  const log = captureLibbpfLog(() => {
    const api = libbpf();
    const object = api.bpf_object__open_mem(plan.bytes, plan.bytes.length, null);
    if (object === null) return;
    try {
      configure(object, plan);
      api.bpf_object__load(object);
    } finally {
      api.bpf_object__close(object);
    }
  });
  return explainLoadFailure({
    place: plan.place,
    status,
    log,
    missingCapabilities: missingCapabilities(['CAP_BPF', 'CAP_PERFMON', 'CAP_NET_ADMIN']),
    findSource: (statement) => findSourceLine(elf, statement),
  });
}

function* programsOf(object: Pointer): Generator<Pointer> {
  const next = libbpf().bpf_object__next_program;
  for (let program = next(object, null); program !== null; program = next(object, program)) yield program;
}

function* mapsOf(object: Pointer): Generator<Pointer> {
  const next = libbpf().bpf_object__next_map;
  for (let map = next(object, null); map !== null; map = next(object, map)) yield map;
}

function mapNames(object: Pointer): string[] {
  return [...mapsOf(object)].map((map) => libbpf().bpf_map__name(map));
}

function unknownName(what: string, name: string, known: readonly string[], place: string): NetloomError {
  return new NetloomError('BPF_NAME_UNKNOWN', `the object has no ${what} ${name}`, {
    place,
    found: known.length === 0 ? `no ${what}s` : known.join(', '),
  });
}

class LoadedObject implements BpfObject {
  readonly btf: Btf;
  readonly #place: string;
  readonly #lifetime: Lifetime;
  readonly #maps = new Map<string, FdMap>();
  readonly #programs = new Map<string, LoadedProgram>();
  readonly #links = new Set<BpfLink>();

  constructor(object: Pointer, { btf, place }: Plan) {
    const api = libbpf();
    this.btf = btf;
    this.#place = place;
    this.#lifetime = new Lifetime(place, () => api.bpf_object__close(object));
    try {
      for (const map of mapsOf(object)) {
        const fd = api.bpf_map__fd(map);
        const name = api.bpf_map__name(map);
        if (fd >= 0) this.#maps.set(name, new FdMap(fd, this.#lifetime, { name, ownsFd: false }));
      }
      for (const program of programsOf(object)) {
        const spec = {
          name: api.bpf_program__name(program),
          section: api.bpf_program__section_name(program),
          fd: api.bpf_program__fd(program),
          attachType: api.bpf_program__expected_attach_type(program),
        };
        this.#programs.set(spec.name, new LoadedProgram(spec, this.#lifetime, (link) => this.#addLink(link)));
      }
    } catch (error) {
      this.#lifetime.close();
      throw error;
    }
  }

  map(name: string): BpfMap {
    this.#lifetime.assertOpen();
    const map = this.#maps.get(name);
    if (map === undefined) throw unknownName('map', name, [...this.#maps.keys()], this.#place);
    return map;
  }

  program(name: string): BpfProgram {
    this.#lifetime.assertOpen();
    const program = this.#programs.get(name);
    if (program === undefined) throw unknownName('program', name, [...this.#programs.keys()], this.#place);
    return program;
  }

  /** Forgets those that were closed by others: pods come and go for months. */
  #addLink(link: BpfLink): void {
    for (const known of this.#links) if (known.closed) this.#links.delete(known);
    this.#links.add(link);
  }

  close(): void {
    if (this.#lifetime.closed) return;
    try {
      for (const link of this.#links) link.close();
    } finally {
      this.#links.clear();
      this.#lifetime.close();
    }
  }
}
