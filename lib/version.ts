import manifest from '../package.json' with { type: 'json' };

/** Release of Netloom, from package.json. */
export const VERSION: string = manifest.version;
