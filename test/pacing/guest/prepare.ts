import { buildImage } from './image.ts';
import { debianKernel, type Kernel } from './kernel.ts';
import type { KernelName } from './kernels.ts';
import { installPackages } from './packages.ts';

/** A kernel with the file system that it starts with. */
export interface Guest {
  readonly kernel: Kernel;
  readonly image: string;
}

/**
 * Everything that guests with these kernels need: packages of the machine, kernels, images. What is there already is
 * taken as it is, so a second call takes a second.
 * @throws NotPossible
 */
export async function prepareGuests(
  names: readonly KernelName[],
  say: (line: string) => void = (line) => process.stderr.write(`pacing: ${line}\n`),
): Promise<Map<KernelName, Guest>> {
  installPackages(say);
  const guests = new Map<KernelName, Guest>();
  for (const name of names) {
    const kernel = await debianKernel(name, say);
    guests.set(name, { kernel, image: buildImage(kernel) });
  }
  return guests;
}
