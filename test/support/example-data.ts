import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The folder of real clusters that are not part of the project: NETLOOM_DATA, or `shared/data` beside the checkout.
 * @returns why there is none, where there is none
 */
export function exampleData(...files: readonly string[]): { readonly folder: string } | { readonly missing: string } {
  const beside = fileURLToPath(new URL('../../../shared/data', import.meta.url));
  const folder = resolve(process.env['NETLOOM_DATA'] ?? beside);
  const absent = files.filter((file) => !existsSync(join(folder, file)));
  return absent.length === 0 ? { folder } : { missing: `${absent.join(', ')} not in NETLOOM_DATA (${folder})` };
}
