import koffi from 'koffi';
import { NetloomError, messageOf } from '../errors.ts';

/** A C pointer as koffi 3 gives it; null is NULL. */
export type Pointer = bigint;
/** A buffer whose memory C reads or writes during the call, an address, or NULL. */
type Memory = Uint8Array | Pointer | null;

/** A bound C function; `.async` runs it on the thread pool. Memory passed to `.async` must be kept until it calls back. */
export interface Bound<A extends unknown[], R> {
  (...args: A): R;
  async(...args: [...A, (error: Error | null, result: R) => void]): void;
}

/** Runs a bound function on the thread pool. */
export function callAsync<A extends unknown[], R>(fn: Bound<A, R>, ...args: A): Promise<R> {
  return new Promise((resolve, reject) => {
    fn.async(...args, (error: Error | null, result: R) => {
      if (error !== null) reject(error);
      else resolve(result);
    });
  });
}

/**
 * The functions of libbpf.so.1 in use. All exist since 1.0. Those that return int give -errno; those that return a
 * pointer give null and set errno. Structs are passed as buffers that begin with their own size (`sz`), which is how
 * libbpf itself tells versions apart, so one declaration serves 1.1 and 1.4.
 */
export interface Libbpf {
  libbpf_version_string: Bound<[], string>;
  libbpf_set_print: Bound<[callback: Pointer | null], Pointer | null>;
  libbpf_num_possible_cpus: Bound<[], number>;
  bpf_object__open_mem: Bound<[bytes: Memory, size: number, opts: Memory], Pointer | null>;
  bpf_object__load: Bound<[object: Pointer], number>;
  bpf_object__close: Bound<[object: Pointer], void>;
  bpf_object__next_map: Bound<[object: Pointer, previous: Pointer | null], Pointer | null>;
  bpf_object__next_program: Bound<[object: Pointer, previous: Pointer | null], Pointer | null>;
  bpf_object__find_map_by_name: Bound<[object: Pointer, name: string], Pointer | null>;
  bpf_map__name: Bound<[map: Pointer], string>;
  bpf_map__fd: Bound<[map: Pointer], number>;
  bpf_map__set_max_entries: Bound<[map: Pointer, maxEntries: number], number>;
  bpf_map__set_pin_path: Bound<[map: Pointer, path: string], number>;
  bpf_map__set_initial_value: Bound<[map: Pointer, data: Memory, size: number], number>;
  bpf_program__name: Bound<[program: Pointer], string>;
  bpf_program__section_name: Bound<[program: Pointer], string>;
  bpf_program__fd: Bound<[program: Pointer], number>;
  bpf_program__set_autoload: Bound<[program: Pointer, autoload: boolean], number>;
  bpf_program__expected_attach_type: Bound<[program: Pointer], number>;
  bpf_raw_tracepoint_open: Bound<[name: string | null, programFd: number], number>;
  bpf_link_create: Bound<[programFd: number, targetFd: number, attachType: number, opts: Memory], number>;
  bpf_link_update: Bound<[linkFd: number, programFd: number, opts: Memory], number>;
  bpf_iter_create: Bound<[linkFd: number], number>;
  bpf_enable_stats: Bound<[type: number], number>;
  bpf_obj_pin: Bound<[fd: number, path: string], number>;
  bpf_obj_get_opts: Bound<[path: string, opts: Memory], number>;
  bpf_obj_get_info_by_fd: Bound<[fd: number, info: Memory, infoSize: Memory], number>;
  /** The target is a descriptor or, for points of a device, its ifindex. */
  bpf_prog_query_opts: Bound<[target: number, attachType: number, opts: Memory], number>;
  bpf_prog_get_fd_by_id: Bound<[id: number], number>;
  bpf_prog_test_run_opts: Bound<[fd: number, opts: Memory], number>;
  bpf_map_create: Bound<
    [type: number, name: string, keySize: number, valueSize: number, maxEntries: number, opts: Memory],
    number
  >;
  bpf_map_lookup_elem: Bound<[fd: number, key: Memory, value: Memory], number>;
  bpf_map_update_elem: Bound<[fd: number, key: Memory, value: Memory, flags: number], number>;
  bpf_map_delete_elem: Bound<[fd: number, key: Memory], number>;
  bpf_map_get_next_key: Bound<[fd: number, key: Memory, nextKey: Memory], number>;
  bpf_map_lookup_batch: Bound<
    [fd: number, inBatch: Memory, outBatch: Memory, keys: Memory, values: Memory, count: Memory, opts: Memory],
    number
  >;
  bpf_tc_hook_create: Bound<[hook: Memory], number>;
  bpf_tc_hook_destroy: Bound<[hook: Memory], number>;
  bpf_tc_attach: Bound<[hook: Memory, opts: Memory], number>;
  bpf_tc_detach: Bound<[hook: Memory, opts: Memory], number>;
  bpf_tc_query: Bound<[hook: Memory, opts: Memory], number>;
}

const POINTER = 'void *';
const SIGNATURES: Record<keyof Libbpf, readonly [result: string, ...args: string[]]> = {
  libbpf_version_string: ['const char *'],
  libbpf_set_print: [POINTER, POINTER],
  libbpf_num_possible_cpus: ['int'],
  bpf_object__open_mem: [POINTER, POINTER, 'size_t', POINTER],
  bpf_object__load: ['int', POINTER],
  bpf_object__close: ['void', POINTER],
  bpf_object__next_map: [POINTER, POINTER, POINTER],
  bpf_object__next_program: [POINTER, POINTER, POINTER],
  bpf_object__find_map_by_name: [POINTER, POINTER, 'str'],
  bpf_map__name: ['const char *', POINTER],
  bpf_map__fd: ['int', POINTER],
  bpf_map__set_max_entries: ['int', POINTER, 'uint32'],
  bpf_map__set_pin_path: ['int', POINTER, 'str'],
  bpf_map__set_initial_value: ['int', POINTER, POINTER, 'size_t'],
  bpf_program__name: ['const char *', POINTER],
  bpf_program__section_name: ['const char *', POINTER],
  bpf_program__fd: ['int', POINTER],
  bpf_program__set_autoload: ['int', POINTER, 'bool'],
  bpf_program__expected_attach_type: ['int', POINTER],
  bpf_raw_tracepoint_open: ['int', 'str', 'int'],
  bpf_link_create: ['int', 'int', 'int', 'int', POINTER],
  bpf_link_update: ['int', 'int', 'int', POINTER],
  bpf_iter_create: ['int', 'int'],
  bpf_enable_stats: ['int', 'int'],
  bpf_obj_pin: ['int', 'int', 'str'],
  bpf_obj_get_opts: ['int', 'str', POINTER],
  bpf_obj_get_info_by_fd: ['int', 'int', POINTER, POINTER],
  bpf_prog_query_opts: ['int', 'int', 'int', POINTER],
  bpf_prog_get_fd_by_id: ['int', 'uint32'],
  bpf_prog_test_run_opts: ['int', 'int', POINTER],
  bpf_map_create: ['int', 'int', 'str', 'uint32', 'uint32', 'uint32', POINTER],
  bpf_map_lookup_elem: ['int', 'int', POINTER, POINTER],
  bpf_map_update_elem: ['int', 'int', POINTER, POINTER, 'uint64'],
  bpf_map_delete_elem: ['int', 'int', POINTER],
  bpf_map_get_next_key: ['int', 'int', POINTER, POINTER],
  bpf_map_lookup_batch: ['int', 'int', POINTER, POINTER, POINTER, POINTER, POINTER, POINTER],
  bpf_tc_hook_create: ['int', POINTER],
  bpf_tc_hook_destroy: ['int', POINTER],
  bpf_tc_attach: ['int', POINTER, POINTER],
  bpf_tc_detach: ['int', POINTER, POINTER],
  bpf_tc_query: ['int', POINTER, POINTER],
};

const DEFAULT_SONAME = 'libbpf.so.1';
/** Versions that the tests run against; others of major version 1 should work, but nobody looked. */
const TESTED_VERSIONS = ['1.1', '1.4'];

let loaded: Libbpf | undefined;

/**
 * libbpf.so.1, or the path in NETLOOM_LIBBPF; opened at the first call.
 * @throws NetloomError BPF_LIBRARY_MISSING
 */
export function libbpf(): Libbpf {
  loaded ??= open();
  return loaded;
}

function open(): Libbpf {
  const override = process.env['NETLOOM_LIBBPF'];
  const path = override === undefined || override === '' ? DEFAULT_SONAME : override;
  const place = path === override ? `NETLOOM_LIBBPF=${override}` : path;
  let functions: Libbpf;
  try {
    const library = koffi.load(path);
    const bind = ([name, [result, ...args]]: [string, readonly [string, ...string[]]]): [string, unknown] => [
      name,
      library.func(name, result, args),
    ];
    functions = Object.fromEntries(Object.entries(SIGNATURES).map(bind)) as unknown as Libbpf;
  } catch (error) {
    throw new NetloomError('BPF_LIBRARY_MISSING', `libbpf cannot be loaded: ${messageOf(error)}`, {
      place,
      expected: 'libbpf 1.x with its libelf and libz',
      cause: error,
    });
  }
  // The default prints to stderr; what matters is taken from a failed load by load-log.ts. NULL is safe in any thread.
  functions.libbpf_set_print(null);
  return functions;
}

/** `1.1`, from the library in use. */
export function libbpfVersion(): string {
  return libbpf().libbpf_version_string().replace(/^v/, '');
}

/** Whether the tests of Netloom run against this version of libbpf. */
export function libbpfIsTested(version: string = libbpfVersion()): boolean {
  return TESTED_VERSIONS.some((tested) => version === tested || version.startsWith(`${tested}.`));
}

let cpus: number | undefined;
/** CPUs that could ever be online: per-CPU values have one copy for each. */
export function possibleCpus(): number {
  cpus ??= libbpf().libbpf_num_possible_cpus();
  return cpus;
}

/** The address of a buffer's first byte, to be put into a struct. The buffer must be kept as long as C uses it. */
export function addressOf(buffer: Uint8Array): bigint {
  return koffi.address(buffer);
}

/** errno of the last call made on this thread; to be read right after it. */
export function lastErrno(): number {
  return koffi.errno();
}
