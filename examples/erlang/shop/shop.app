{application, shop, [
    {description, "Takes orders and charges cards"},
    {vsn, "1"},
    {modules, [shop, shop_sup, shop_orders, shop_payment]},
    {registered, [shop_sup, shop_orders, shop_payment]},
    {applications, [kernel, stdlib]},
    {mod, {shop, []}}
]}.
