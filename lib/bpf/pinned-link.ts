import { closeSync, unlinkSync } from 'node:fs';
import { NetloomError } from '../errors.ts';
import { bpfError } from './errno.ts';
import { linkInfo, type LinkInfo } from './info.ts';
import { libbpf } from './libbpf.ts';
import { Lifetime } from './lifetime.ts';
import { openPin } from './pin.ts';
import type { BpfProgram } from './types.ts';

/** BPF_LINK_TYPE_TCX of linux/bpf.h. */
const LINK_TYPE_TCX = 11;

/** A link of a tc program that somebody pinned, perhaps another process: it runs whether or not anybody has it open. */
export class PinnedTcLink {
  readonly path: string;
  readonly #fd: number;
  readonly #lifetime: Lifetime;

  /** @throws NetloomError BPF_PIN_FAILED, BPF_NOT_PERMITTED: nothing there, or no link of tcx */
  constructor(path: string) {
    this.path = path;
    this.#fd = openPin(path, false);
    this.#lifetime = new Lifetime(`link ${path}`, () => closeSync(this.#fd));
    let found: string | undefined;
    try {
      const { type } = linkInfo(this.#fd);
      if (type !== LINK_TYPE_TCX) found = `a link of type ${type}`;
    } catch {
      found = 'no link';
    }
    if (found === undefined) return;
    this.#lifetime.close();
    throw new NetloomError('BPF_PIN_FAILED', 'what is pinned there is not ours', {
      place: path,
      expected: 'a tcx link',
      found,
    });
  }

  get info(): LinkInfo {
    this.#lifetime.assertOpen();
    return linkInfo(this.#fd);
  }

  /** Puts another program in the place of this one: every packet meets one of the two. */
  update(program: BpfProgram): void {
    this.#lifetime.assertOpen();
    const status = libbpf().bpf_link_update(this.#fd, program.fd, null);
    if (status < 0) {
      throw bpfError('BPF_ATTACH_FAILED', `program ${program.name} cannot take over`, status, { place: this.path });
    }
  }

  /** The program stops running, once nobody else has the link open. */
  remove(): void {
    unlinkSync(this.path);
    this.close();
  }

  /** Gives up the handle; the link stays. Idempotent. */
  close(): void {
    this.#lifetime.close();
  }
}
