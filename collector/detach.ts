import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { PinFolder } from './pins.ts';
import { DEFAULT_STATE_DIR, StateFile } from './state/state-file.ts';

/**
 * Removes what agents left there: program, maps, their folder, and what was kept about them. One sentence tells.
 * @throws NetloomError AGENT_PINS_IN_USE, BPFFS_UNUSABLE, BPF_PIN_FAILED
 */
export function detach(options: { readonly pins: string; readonly state?: string | undefined }): string {
  const dir = resolve(options.pins);
  new StateFile(options.state ?? DEFAULT_STATE_DIR, dir).remove();
  if (!existsSync(dir)) return `Nothing is pinned at ${dir}.`;
  const pins = PinFolder.open(dir);
  try {
    const wasAttached = pins.isAttached;
    pins.clear();
    const left = pins.remove() ? '' : ` ${dir} itself stays: it is a mount point, or not ours to remove.`;
    return `${wasAttached ? 'Program and maps are' : 'What was'} removed from ${dir}.${left}`;
  } finally {
    pins.close();
  }
}
