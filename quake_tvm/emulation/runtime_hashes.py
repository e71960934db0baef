"""Hashes of the wheels that :mod:`runtime` takes libraries from.

For each release they cover every architecture and Python version with a wheel, as PyPI served them
when the release was tested here. ``pip install --dry-run --report`` prints those of another
release.
"""

SHA256: dict[tuple[str, str], tuple[str, ...]] = {
    ("apache-tvm", "0.27.0"): (
        "de4f71f4a89d883cc3cf9beb2e654cb0ab70d5da77f556e8ec35a193a2a6cdb6",
        "c119f33459a098e87022b10b90e0bf83dadaf240c03091dbc84c211e96d38f7b",
    ),
    ("apache-tvm", "0.27.0.post1"): (
        "4acfdb7653e4e1ba7a707bdf2833db72eb8fda7d04d99141f2a4e1da43171fb7",
        "f503fc903b6e16fda5daacac6698ecb8bc38937f57da7aa29f6c7ab169d08657",
    ),
    ("apache-tvm-ffi", "0.1.14.post0"): (
        "cdd453329684f7a26043de02d3de50c11882589c6c0de91029c7c59c65e35bd9",
        "7450ed7b1621fac077fbe931c9efd8b41ae65260e056ca5912cf00e927db1699",
        "d1a011a0743acb88ffc650c70bfb1376fa90cb7196b042598c6d0c1e690ce185",
        "85733ec11d2c9dd258aa134e3fba9c4373a8f45c261f2a3a3df20daed92aa699",
        "8efb2234473980271c665eea40bfdfbb154c46e0dda195e1c3a36963318aa029",
        "fbff37582722fa382b04cdb15654a6bf78172d86ea7afb95b91110e3f04a934b",
        "9003b2bec3f4aa8debaadd18ce9dae9112172009a8344ed10279645b4674a073",
        "70a2cd855fcd3a9dda94d0d328d6356d7337de5268b7d79a0172a89e9c4ca8a7",
        "67e8fc285bda5f019173a6e2b10a66f7e6b23cb7ce103419e578b775517165e1",
        "1c1f8ed242d2c1603a138b43cb3977c462b90fc8d21d91fddf02d6b0eee4591a",
    ),
    ("apache-tvm-ffi", "0.1.14.post1"): (
        "79c69493bd607b3e37e69ce542bc551833bfa40d0ba208f37fb87dd30cf86e69",
        "c5dd9ebb97d2c47c3aed57646714afbecba086bddc4e2d5e649825fb3ea46074",
        "c7a759781d4fbf2b99fa12f2741f250b882b06acc2747bb02831d491d1ac7d3c",
        "4b01a5a3fa07ed3315d5ef1e05d3542dae57a119ef7e77c54bc062414e242f65",
        "3fd2255a2e363a40c51ec1eeedb1110a2c74e443f95ae351ee5a81b5ff6808cf",
        "eb759c039866b541ec2cb07d498082f8ba6ded74d58d9196180a5932f365c077",
        "d6aebe30f21dcbd9e76c5aab56afe0fe228804a4ad73e413b067ae3d27e02f93",
        "e59657d99d52f83c32ce60db4fdca95f5ca5b73425e33653862d06f7b1feffdc",
        "8d4a0f356bbc89a648841b8a913a98478a65dc006c05017ca80f539c35974d96",
        "a22cb9637e49c67837c9705be59d3c9b9a525c12f601f894532a16260612a95a",
    ),
}
