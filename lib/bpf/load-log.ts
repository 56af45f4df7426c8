import koffi from 'koffi';
import { isMainThread } from 'node:worker_threads';
import { libbpf, type Pointer } from './libbpf.ts';
import { libc } from './libc.ts';

/** libbpf grows the verifier's log to at most 16 MiB and prints it in one piece. */
const MESSAGE_BYTES = (16 << 20) + 4096;
/** What is kept of it: the reason stands at the end, the beginning shows how it came about. */
const KEEP_HEAD = 64 << 10;
const KEEP_TAIL = 192 << 10;
/** enum libbpf_print_level: WARN 0, INFO 1, DEBUG 2. */
const LEVEL_INFO = 1;

let printType: ReturnType<typeof koffi.pointer> | undefined;

/**
 * What libbpf says while `work` runs. libbpf_set_print is global to the process, and a callback of a worker thread
 * that has ended aborts the process at the next message: so it is set only on the main thread, and only for this
 * synchronous call; elsewhere there is no text.
 */
export function captureLibbpfLog(work: () => void): string {
  if (!isMainThread) {
    work();
    return '';
  }
  const api = libbpf();
  const { vsnprintf } = libc();
  const text = Buffer.allocUnsafeSlow(MESSAGE_BYTES);
  const parts: string[] = [];
  const print = (level: number, format: Pointer, args: Pointer): number => {
    if (level <= LEVEL_INFO) {
      // va_list goes through as a pointer: how x86-64 and arm64 pass it.
      const length = vsnprintf(text, text.length, format, args);
      if (length > 0) parts.push(shorten(text.toString('utf8', 0, Math.min(length, text.length - 1))));
    }
    return 0;
  };
  printType ??= koffi.pointer(koffi.proto('int', ['int', 'void *', 'void *']));
  const callback = koffi.register(print, printType);
  try {
    api.libbpf_set_print(callback);
    work();
  } finally {
    api.libbpf_set_print(null);
    koffi.unregister(callback);
  }
  return parts.join('');
}

function shorten(text: string): string {
  const excess = text.length - KEEP_HEAD - KEEP_TAIL;
  if (excess <= 0) return text;
  return `${text.slice(0, KEEP_HEAD)}\n[${excess} characters left out]\n${text.slice(-KEEP_TAIL)}`;
}
