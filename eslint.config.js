// Type-aware rules that find real faults in long-running servers, and the walls between the rooms.
// What imports what is also checked by test/house/rooms.test.ts, which sees dynamic imports and workers too.
import tseslint from 'typescript-eslint';

/** Imports that a room must not make. The test has the same table with the reasons. */
const walls = (files, rooms) => ({
  files,
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            regex: `^(\\.\\./)+(${rooms.join('|')})/`,
            message: 'collector, bandwidth and scheduler never import each other, and lib imports none of them.',
          },
        ],
      },
    ],
  },
});

export default tseslint.config(
  { ignores: ['node_modules/', '.tools/', 'build/', '**/*.js'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      // A promise nobody waits for is an unhandled rejection in an agent that must not die.
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true, requireDefaultForNonUnion: false },
      ],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/no-unnecessary-type-assertion': 'error',
      '@typescript-eslint/prefer-promise-reject-errors': 'error',
      '@typescript-eslint/require-array-sort-compare': ['error', { ignoreStringArrays: true }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrors: 'none' },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true, allowNullish: true },
      ],
      // An interface may be async where one implementation is not.
      '@typescript-eslint/require-await': 'off',
      // `function ignore() {}` says what it does.
      '@typescript-eslint/no-empty-function': 'off',
      '@typescript-eslint/no-this-alias': 'off',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
      'no-eval': 'error',
      'no-implicit-coercion': ['error', { boolean: false }],
      'no-constant-condition': ['error', { checkLoops: false }],
      'no-var': 'error',
      'prefer-const': 'error',
    },
  },
  walls(['lib/**', 'proto/**'], ['collector', 'bandwidth', 'scheduler', 'cli', 'lab', 'demo', 'bench', 'test']),
  walls(['collector/**'], ['bandwidth', 'scheduler', 'cli', 'lab', 'bench', 'test']),
  walls(['bandwidth/**'], ['collector', 'scheduler', 'cli', 'lab', 'bench', 'test', 'proto']),
  walls(['scheduler/**'], ['collector', 'bandwidth', 'cli', 'lab', 'bench', 'test']),
  walls(['lab/**', 'demo/*', 'cli/**'], ['bench', 'test']),
  {
    // Programs for people, and tests that look into parsed answers.
    files: ['test/**', 'bench/**', 'scripts/**', '*.ts'],
    rules: {
      'no-console': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
);
