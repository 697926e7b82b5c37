// A string that must not be printed: tokens, client secrets, keys.

/** Holds a secret; `reveal()` is the only way out. JSON, template strings and inspection show `[secret]`. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  get [Symbol.toStringTag](): string {
    return 'Secret'
  }

  // Node's and workerd's console.log ask this symbol.
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]'
  }
}
