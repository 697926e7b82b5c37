// Nominal types over primitives: a branded value can only come from the one function that checked it.

declare const brand: unique symbol

/** `T` with a compile-time name. At run time it is a plain `T`. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name }
