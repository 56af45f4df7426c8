import { readdir, readFile, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { messageOf, NetloomError } from '../lib/errors.ts';
import { parseScenario, type Scenario } from './scenario.ts';

export const DEFAULT_SCENARIO = 'online-boutique';
const MAX_FILE_BYTES = 8 * 1024 * 1024;
const shipped = fileURLToPath(new URL('./scenarios/', import.meta.url));

/** Names of the scenarios that come with Netloom. */
export async function shippedScenarios(): Promise<string[]> {
  const files = await readdir(shipped);
  return files.flatMap((f) => (f.endsWith('.json') ? [f.slice(0, -5)] : [])).sort();
}

/** A scenario by the name of a shipped one (`two-nodes`) or by the path of a JSON file. Throws LAB_SCENARIO_INVALID. */
export async function loadScenario(nameOrFile: string): Promise<Scenario> {
  const names = await shippedScenarios();
  const file = names.includes(nameOrFile) ? `${shipped}${nameOrFile}.json` : nameOrFile;
  const place = names.includes(nameOrFile) ? `scenario ${nameOrFile}` : nameOrFile;
  let text: string;
  try {
    const { size } = await stat(file);
    if (size > MAX_FILE_BYTES) throw new Error(`larger than ${MAX_FILE_BYTES} bytes`);
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new NetloomError('LAB_SCENARIO_INVALID', 'the scenario cannot be read', {
      place: nameOrFile,
      expected: `the path of a JSON file, or one of ${names.join(', ')}`,
      found: messageOf(cause),
      cause,
    });
  }
  return parseScenario(text, place);
}
