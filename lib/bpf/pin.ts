import { NetloomError } from '../errors.ts';
import { EACCES, EEXIST, ENOENT, EPERM, bpfError, errnoText } from './errno.ts';
import { libbpf } from './libbpf.ts';

const BPF_F_RDONLY = 8;
/** struct bpf_obj_get_opts: size_t sz; u32 file_flags. */
const OBJ_GET_OPTS_SIZE = 16;

/** @throws NetloomError BPF_PIN_FAILED, BPF_NOT_PERMITTED */
export function pinFd(fd: number, path: string, what: string): void {
  const status = libbpf().bpf_obj_pin(fd, path);
  if (status >= 0) return;
  if (status === -EEXIST) {
    throw new NetloomError('BPF_PIN_FAILED', `${what} cannot be pinned: the name is taken`, {
      place: path,
      remedy: 'Remove the old pin (rm) if nothing uses it, or choose another name.',
    });
  }
  // bpf_obj_pin says EPERM for a directory of any other file system.
  const details = status === -EPERM ? { place: path, expected: 'a path on a bpffs' } : { place: path };
  throw new NetloomError('BPF_PIN_FAILED', `${what} cannot be pinned: ${errnoText(status)}`, details);
}

/** Opens a pin. @throws NetloomError BPF_PIN_FAILED, BPF_NOT_PERMITTED */
export function openPin(path: string, readOnly: boolean): number {
  const opts = Buffer.alloc(OBJ_GET_OPTS_SIZE);
  opts.writeBigUInt64LE(BigInt(OBJ_GET_OPTS_SIZE), 0);
  opts.writeUInt32LE(readOnly ? BPF_F_RDONLY : 0, 8);
  const fd = libbpf().bpf_obj_get_opts(path, opts);
  if (fd >= 0) return fd;
  if (fd === -ENOENT) throw new NetloomError('BPF_PIN_FAILED', 'nothing is pinned there', { place: path });
  if (fd === -EACCES) {
    throw new NetloomError('BPF_PIN_FAILED', `the pin cannot be opened: ${errnoText(fd)}`, {
      place: path,
      remedy:
        'Open it read-only, or give this user rights to the pin and to the directories above it; the path must lie on a bpffs.',
    });
  }
  throw bpfError('BPF_PIN_FAILED', 'the pin cannot be opened', fd, { place: path });
}
